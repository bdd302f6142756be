"""Which model answers."""

from collections.abc import Callable, Sequence

from pipeline.contract.serving import Answerer


class Models:
    """One model, of a file. Requests hold the answerer that they began with."""

    def __init__(self, open: Callable[[], Answerer]) -> None:
        self._open = open
        self._current: Answerer | None = open()

    def current(self) -> Answerer | None:
        """The model that answers now; None where there is none."""
        return self._current

    def serving(self) -> Sequence[Answerer]:
        """All models that answer."""
        return [self._current] if self._current else []

    def reload(self) -> Answerer:
        """Open the file again, and answer from it from now on. Raises UserError, and leaves the old model in place."""
        self._current = self._open()
        return self._current
