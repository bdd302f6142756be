"""What receivers record: IQ samples, and the levels and times of arrival that are measured from them."""
