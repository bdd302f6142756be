"""How many digits a number and its interval are shown with, everywhere the same."""

import math

MAX_DECIMALS = 9
TWO_DIGITS_BELOW = 3.55  # leading digits of a half length that are rounded to two; larger ones to one


def decimals_of_interval(half_length: float) -> int:
    """How many decimals an interval of that half length (above 0) supports: those of its first two digits where these
    are below 36, else those of the first (the rule of the Particle Data Group, Review of Particle Physics 2024, 5.3).

    So the last place that is shown is a third to a tenth of the half length, or a whole where that is longer.
    """
    exponent = math.floor(math.log10(half_length))
    num_digits = 2 if half_length < TWO_DIGITS_BELOW * 10.0**exponent else 1
    return min(max(num_digits - 1 - exponent, 0), MAX_DECIMALS)


def decimals_of_value(value: float, num_digits: int) -> int:
    """How many decimals show ``num_digits`` significant digits of a value that has no interval; none for 0."""
    return min(max(num_digits - 1 - math.floor(math.log10(abs(value))), 0), MAX_DECIMALS) if value else 0
