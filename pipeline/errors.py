"""The one error that users see: what is wrong, where, and what to type next."""


class UserError(Exception):
    """The user's input is wrong, and says so in one short block. Stages print it and exit with status 2.

    ``what`` is wrong, ``where`` it is (file:line, field), ``remedy`` is what to do or run next.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.remedy:
            lines.append(f"  next:  {self.remedy}")
        return "\n".join(lines)
