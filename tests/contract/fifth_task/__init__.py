"""A whole task in its smallest form: learn y = 2 x + 1. `test_fifth_task.py` puts it into a copy of the project."""
