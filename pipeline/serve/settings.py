"""What a server is started with: a file that each of its workers reads."""

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipeline.errors import UserError
from pipeline.serve.http.limits import Limits

VARIABLE = "BATON_SERVE_SETTINGS"  # where workers find the file
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # where they count; read when prometheus_client is imported
_SETTINGS, _FAILURE = "settings.json", "failure.json"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """``decoding`` and ``evaluate`` are the recipe's sections ``infer`` and ``evaluate``, as plain values.

    ``model`` is a file; without one, ``alias`` of ``name`` in ``registry`` says which model answers, and which is a
    ``canary`` for a ``share`` of the keys, or a ``shadow``. ``cache``: answers are kept in the process. ``log`` is the
    folder of the request log, None for none; a file of it is renamed beyond ``rotate_mb``. ``log_level`` is what the
    web server says of itself on standard error; "debug" also of every request.
    """

    task: str
    model: Path | None = None
    registry: str | None = None
    name: str | None = None
    alias: str = "production"
    reload_interval_s: float | None = None
    proof_rows: int = 100
    canary: str | None = None
    shadow: str | None = None
    share: float = 0.0
    cache: bool = False
    device: str = "cpu"
    decoding: Any = None
    evaluate: Any = None
    image_root: Path | None = None
    log: Path | None = None
    rotate_mb: int | None = None
    auth_file: Path | None = None
    workers: int = 1
    log_level: Literal["debug", "info", "warning", "error"] | None = None
    limits: Limits = Limits()

    def write(self, folder: Path) -> None:
        """Leave them where the workers that this process starts find them."""
        path = folder / _SETTINGS
        path.write_bytes(msgspec.json.encode(self, enc_hook=str))
        os.environ[VARIABLE] = str(path)


def read_settings() -> Settings:
    """Those of the server that started this process."""
    data = Path(os.environ[VARIABLE]).read_bytes()
    return msgspec.json.decode(data, type=Settings, dec_hook=lambda kind, value: kind(value))


def state_folder() -> Path:
    """What the workers of a server share, beside the settings."""
    return Path(os.environ[VARIABLE]).with_name("state")


def leave_failure(error: UserError) -> None:
    """Tell the server that started this process why it could not begin."""
    told = msgspec.json.encode([error.what, error.where, error.remedy])
    Path(os.environ[VARIABLE]).with_name(_FAILURE).write_bytes(told)


def failure_in(folder: Path) -> UserError | None:
    """What a worker left, if one did."""
    if not (path := folder / _FAILURE).exists():
        return None
    what, where, remedy = msgspec.json.decode(path.read_bytes())
    return UserError(what, where=where, remedy=remedy)
