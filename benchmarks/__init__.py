"""Ratios against named peers, each measured in the same run: ``make bench``."""
