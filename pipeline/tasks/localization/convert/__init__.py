"""Rows of localization from the files that people have, and on to maps."""
