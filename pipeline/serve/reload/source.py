"""Where the models of a server come from: one file, or a name of a registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from pipeline.errors import UserError
from pipeline.files.atomic import write_atomically
from pipeline.registry.entry import Registry, Version
from pipeline.registry.find import open_registry
from pipeline.serve.reload.state import State
from pipeline.serve.settings import Settings


@dataclass(frozen=True)
class Candidate:
    """A model file on this machine that nobody will change, and what its version is called."""

    path: Path
    version: str


class FileSource:
    """One inference_v1 file, which others may replace: opened is a copy of this moment, beside the ``state``."""

    def __init__(self, path: Path, state: State) -> None:
        self._path, self._state = path, state

    def mark(self) -> str:
        """Of the file's identity, time and size. Raises UserError when it is not there."""
        try:
            found = self._path.stat()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def find(self, asked: str | None) -> Candidate:
        """A copy, called by its hash. Raises UserError when a version is asked for: a file has none."""
        if asked is not None:
            what, remedy = "a server of one file knows no versions", "baton serve --registry FOLDER --name NAME"
            raise UserError(what, where=asked, remedy=remedy)
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise _unreadable(self._path, error) from error
        copy = self._state.folder / "models" / f"{sha256(data).hexdigest()[:32]}.inference_v1"
        write_atomically(copy, [data])
        kept = {copy, *map(Path, self._state.read().paths())}
        for old in {*copy.parent.glob("*.inference_v1")} - kept:
            old.unlink(missing_ok=True)
        return Candidate(copy, self._path.stem)

    def versions(self) -> list[Version]:
        """None."""
        return []


class RegistrySource:
    """The version that an alias of a registry names."""

    def __init__(self, registry: Registry, name: str, alias: str) -> None:
        self._registry, self._name, self._alias = registry, name, alias

    def mark(self) -> str:
        """The version that the alias names."""
        return self._registry.resolve(self._name, self._alias)

    def find(self, asked: str | None) -> Candidate:
        """The file of a version, its hashes checked."""
        version = self._registry.resolve(self._name, asked or self._alias)
        return Candidate(self._registry.fetch(self._name, version), f"{self._name}/{version}")

    def versions(self) -> Sequence[Version]:
        """All versions of the name, with their aliases."""
        return self._registry.versions(self._name)


ModelSource = FileSource | RegistrySource
"""Names models. All methods raise UserError: `RegistryUnreachable` where it may be there again later."""


def source_of(settings: Settings, state: State) -> ModelSource:
    """What the settings name; copies of files lie beside the ``state``. Raises UserError."""
    if settings.model is not None:
        return FileSource(settings.model, state)
    assert settings.registry and settings.name, "the command sees to that"
    return RegistrySource(open_registry(settings.registry), settings.name, settings.alias)


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot read the model file: {error.strerror}", where=str(path))
