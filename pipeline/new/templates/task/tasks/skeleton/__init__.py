"""A whole task in its smallest form: learn the curve y = sin(3 x) from points on it."""
