"""A server of a test's own, as the tests of serve have it."""

from tests.serve.conftest import start

__all__ = ["start"]
