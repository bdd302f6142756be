"""A second model beside the one that answers: which requests it answers, or that it is asked in the shadow."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec

from pipeline.contract.serving import Answerer
from pipeline.files import encode
from pipeline.run.behind import Behind
from pipeline.serve.log import RequestLog

SHADOW_CAPACITY = 1000  # requests that wait for a shadow that is slower than the model; more are dropped
ShadowEvent = str
"""What came of a request to the shadow: "same", "differs", "failed" or "dropped"."""


def takes(key: str, share: float) -> bool:
    """Whether a key is among the ``share`` (0 to 1) of all keys. The same key is, whoever asks and whenever, and one
    that is in a share is in each larger one."""
    number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest())
    return number < share * 2**64


class Shadow:
    """Asks the model in the shadow what the other was asked, behind the answers, and logs its rows as its own.

    ``model()`` is that model, None where there is no shadow.
    """

    def __init__(
        self, model: Callable[[], Answerer | None], log: RequestLog | None, count: Callable[[ShadowEvent], None]
    ) -> None:
        self._model, self._log, self._count = model, log, count
        self._behind: Behind[tuple[str, Any, bytes]] | None = None

    def offer(self, client: str, example: Any, line: bytes) -> None:
        """An example, and the row that was answered. Costs nothing where there is no shadow."""
        if self._model() is None:
            return
        if self._behind is None:
            self._behind = Behind(self._ask, capacity=SHADOW_CAPACITY, name="shadow")
        if not self._behind.offer((client, example, line)):
            self._count("dropped")

    def close(self) -> None:
        """Ask what waits, then end."""
        if self._behind is not None:
            self._behind.close()

    def _ask(self, items: list[tuple[str, Any, bytes]]) -> None:
        shadow = self._model()
        for client, example, line in items if shadow else ():
            assert shadow is not None
            try:
                (row,) = shadow.answer([example])
                own = encode(row)
            except Exception:  # it may fail as it likes: nobody waits for it
                self._count("failed")
                continue
            self._count("same" if _said(own) == _said(line) else "differs")
            if self._log:
                self._log.offer(client, shadow.identity.model, own)


def _said(line: bytes) -> dict[str, Any]:
    """What a row says, whoever says it."""
    return {**msgspec.json.decode(line), "model": ""}
