"""The one error that users see: what is wrong, where, and what to type next."""

import difflib
from collections.abc import Sequence

NUM_KNOWN = 12  # names offered where none is near


class UserError(Exception):
    """The user's input is wrong, and says so in one short block. Stages print it and exit with status 2.

    ``what`` is wrong, ``where`` it is (file:line, field), ``remedy`` is what to do or run next.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def at(self, where: str) -> "UserError":
        """The same error at another place."""
        return UserError(self.what, where=where, remedy=self.remedy)

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.remedy:
            lines.append(f"  next:  {self.remedy}")
        return "\n".join(lines)


def nearest(text: str, known: Sequence[str], num: int = 1) -> str:
    """What to offer instead of an unknown name: up to ``num`` of the ``known`` that are like it, else the first few."""
    close = difflib.get_close_matches(text, known, n=num, cutoff=0.6 if num == 1 else 0.5)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"known: {', '.join(known[:NUM_KNOWN])}" if known else "there are none"
