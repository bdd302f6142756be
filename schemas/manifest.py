"""The manifest: what every stage leaves beside its output, written last.

``status`` is "started" while a stage works and is replaced by "ok", "error" or "cancelled" at the end, so that a folder
whose stage was killed can be told from a finished one. Later stages accept only "ok" and verify the hashes they use.
"""

from typing import Any, Literal

from msgspec import Struct

Status = Literal["started", "ok", "error", "cancelled"]


class FileRecord(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file a stage read or wrote. ``path`` is relative to the manifest's folder where the file lies below it."""

    path: str
    sha256: str
    num_bytes: int


class Provenance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where and with what a stage ran. ``git_commit`` is null outside a checkout."""

    command: list[str]
    git_commit: str | None
    git_dirty: bool | None
    python: str
    platform: str
    versions: dict[str, str]
    device: str
    num_threads: int


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage's record of one run. ``config`` is resolved: every default is spelled out."""

    schema: Literal["manifest_v1"] = "manifest_v1"
    stage: str
    task: str
    status: Status
    config: dict[str, Any]
    config_hash: str
    seed: int | None
    inputs: dict[str, FileRecord]
    outputs: dict[str, FileRecord] = {}
    counts: dict[str, int] = {}
    error_counts: dict[str, int] = {}
    notes: dict[str, Any] = {}
    error: str | None = None
    started_unix_s: float
    wall_s: float | None = None
    cpu_s: float | None = None
    provenance: Provenance
