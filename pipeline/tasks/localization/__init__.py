"""Localization: where a radio transmitter is that several receivers heard, and how sure that is."""
