"""Gridworld: an agent in a small town keeps eight coupled meters from running down."""
