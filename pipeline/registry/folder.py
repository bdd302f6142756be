"""A registry that is a folder: ``NAME/VERSION.inference_v1``, and ``NAME/aliases.json``.

A version is never overwritten: its file appears whole, under the next number. Numbers are given, and aliases replaced
as one file, under a lock, so that writers who come at the same moment lose nothing. Whoever reads needs none.
"""

import contextlib
import fcntl
import filecmp
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from pipeline.errors import UserError
from pipeline.files.atomic import cannot_write, sync_folder, write_atomically
from pipeline.files.document import read_json
from pipeline.files.hashes import sha256_file
from pipeline.model.container import ModelFile
from pipeline.registry.entry import SUFFIX, Version, check_alias, check_name, is_name, no_such_version
from schemas.registry import Aliases, AliasTarget

ALIASES, LOCK = "aliases.json", ".lock"


class FolderRegistry:
    """A `pipeline.registry.entry.Registry` in ``folder``, which need not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    def names(self) -> list[str]:
        """Names of the folders that hold a version; what others keep beside them is passed over."""
        found = {path.parent.name for path in self.folder.glob(f"*/*{SUFFIX}") if path.stem.isdecimal()}
        return sorted(filter(is_name, found))

    def versions(self, name: str) -> list[Version]:
        """Of the headers of the files; the weights are not read. Raises UserError on an unknown name."""
        aliases = self.aliases(name)
        return [self._describe(name, number, aliases) for number in self._known(name)]

    def aliases(self, name: str) -> dict[str, AliasTarget]:
        """What each alias names. Raises UserError when the file is damaged."""
        path = self.folder / check_name(name) / ALIASES
        if not path.exists():
            return {}
        try:
            return msgspec.convert(read_json(path), Aliases).aliases
        except msgspec.ValidationError as error:
            remedy = "mend it, or remove it and give the aliases again"
            raise UserError(f"the aliases are not valid: {error}", where=str(path), remedy=remedy) from error

    def resolve(self, name: str, asked: str) -> str:
        """The version that an alias names; a version names itself. Raises UserError where there is none."""
        known, aliases = self._known(name), self.aliases(name)
        version = aliases[asked].version if asked in aliases else asked
        if version not in known:
            raise no_such_version(name, asked, [*aliases, *known], str(self.folder / name))
        return version

    def fetch(self, name: str, version: str) -> Path:
        """The file of a version. Raises UserError when it is damaged, or is not what an alias was given to."""
        path = self._path(name, self.resolve(name, version))
        ModelFile(path).verify()
        hashes = {target.sha256 for target in self.aliases(name).values() if target.version == version}
        if hashes and hashes != {sha256_file(path)}:
            what = "this is another file than the one that the alias was given to"
            raise UserError(what, where=str(path), remedy="put the file back, or give the alias to a version again")
        return path

    def add(self, name: str, path: Path) -> str:
        """Copy a model file to the next version. Raises UserError when it is damaged, or cannot be written."""
        ModelFile(path).verify()
        home = self.folder / check_name(name)
        beside = home / f".{os.getpid()}.{os.urandom(4).hex()}.tmp"
        try:
            home.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, beside)
            ModelFile(beside).verify()  # what was copied, not what lies there by now
            with self._locked(name):
                return self._numbered(name, beside)
        except OSError as error:
            raise cannot_write(home, error) from error
        finally:
            beside.unlink(missing_ok=True)

    def set_alias(self, name: str, alias: str, version: str) -> str | None:
        """Let an alias name a version, whose file is checked; returns the version before. Raises UserError."""
        path = self.fetch(name, self.resolve(name, version))
        with self._locked(name):
            aliases = self.aliases(name)
            before = aliases.get(check_alias(alias))
            aliases[alias] = AliasTarget(version=path.stem, sha256=sha256_file(path))
            text = msgspec.json.encode(Aliases(aliases=dict(sorted(aliases.items()))))
            write_atomically(self.folder / name / ALIASES, [msgspec.json.format(text), b"\n"])
        return before.version if before else None

    def _numbered(self, name: str, file: Path) -> str:
        """Give a whole file the next number, or find the version that has the same bytes."""
        numbers = self._numbers(name)
        for number in numbers:
            if filecmp.cmp(file, self._path(name, number), shallow=False):
                return number
        number = str(1 + max(map(int, numbers), default=0))
        file.rename(self._path(name, number))
        sync_folder(self.folder / name)
        return number

    def _path(self, name: str, version: str) -> Path:
        return self.folder / name / f"{version}{SUFFIX}"

    def _numbers(self, name: str) -> list[str]:
        found = (path.stem for path in (self.folder / check_name(name)).glob(f"*{SUFFIX}"))
        return sorted((number for number in found if number.isdecimal()), key=int)

    def _known(self, name: str) -> Sequence[str]:
        """Versions of a name. Raises UserError where there are none."""
        numbers = self._numbers(name)
        if not numbers:
            known = self.names()
            hint = f"known: {', '.join(known)}" if known else f"baton registry add {name} FILE"
            raise UserError(f"there is no model {name!r} in the registry", where=self.where, remedy=hint)
        return numbers

    def _describe(self, name: str, number: str, aliases: dict[str, AliasTarget]) -> Version:
        header = ModelFile(self._path(name, number)).header
        return Version(
            name=name,
            version=number,
            weights_hash=header.weights_hash,
            task=header.metadata.get("task"),
            created_at=header.created_at,
            aliases=[alias for alias, target in aliases.items() if target.version == number],
        )

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = self.folder / name / LOCK
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise cannot_write(lock, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
