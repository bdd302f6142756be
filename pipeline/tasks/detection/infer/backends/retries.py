"""How long to wait before a request is tried again."""

import datetime
import email.utils
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Waits:
    """Waits that double from ``first_s``, up to ``most_s``, each shortened by up to a half at random.

    The jitter ("equal jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) keeps
    requests that failed together from coming back together.
    """

    first_s: float
    most_s: float

    def before(self, attempt: int, stream: random.Random, retry_after: str | None) -> float:
        """Seconds before attempt number ``attempt`` (1 is the first that is a repetition).

        ``retry_after`` is the header of that name, which is waited for at least, up to ``most_s``.
        """
        wait_s = min(self.first_s * 2.0 ** min(attempt - 1, 60), self.most_s) * (1.0 - 0.5 * stream.random())
        return max(wait_s, min(parse_retry_after(retry_after), self.most_s))


def parse_retry_after(text: str | None, now: datetime.datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for: a number or a date (RFC 9110, 10.2.3); 0 where it says neither."""
    if text is None:
        return 0.0
    if text.strip().isascii() and text.strip().isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return max(0.0, (moment - (now or datetime.datetime.now(datetime.UTC))).total_seconds())
