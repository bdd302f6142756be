"""The network, and what is made of it."""
