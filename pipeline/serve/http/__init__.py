"""What any answer over HTTP needs, whatever is asked: problems, limits, and a description of all routes."""
