"""What every registry offers, wherever it keeps its models."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.errors import UserError, nearest

SUFFIX = ".inference_v1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,99}")


class RegistryUnreachable(UserError):
    """The registry cannot be reached now; it may be there again later."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a name: numbers from "1" on. ``weights_hash`` is None where the registry does not know it."""

    name: str
    version: str
    weights_hash: str | None
    task: str | None = None
    created_at: str | None = None
    aliases: Sequence[str] = field(default=())


class Registry(Protocol):
    """Models by name. All methods raise UserError: for what is not there, and when the registry cannot be reached."""

    @property
    def where(self) -> str:
        """What errors and listings call it: a folder, or an address."""

    def names(self) -> Sequence[str]:
        """All names, sorted."""

    def versions(self, name: str) -> Sequence[Version]:
        """All versions of a name, the oldest first, with their aliases."""

    def resolve(self, name: str, asked: str) -> str:
        """The version that an alias names; a version names itself."""

    def fetch(self, name: str, version: str) -> Path:
        """The file of a version on this machine, its hashes checked."""

    def add(self, name: str, path: Path) -> str:
        """Keep a model file under the next version, or find the one that holds the same bytes; returns the version."""

    def set_alias(self, name: str, alias: str, version: str) -> str | None:
        """Let an alias name a version; returns the version that it named before."""


def is_name(name: str) -> bool:
    """Whether a name can be read as no path and no option."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """Raises UserError when a name could be read as a path or an option."""
    if not is_name(name):
        remedy = "letters, digits, '.', '_' and '-', a letter or digit first"
        raise UserError(f"{name!r} is no name of a model", where="NAME", remedy=remedy)
    return name


def check_alias(alias: str) -> str:
    """Raises UserError when an alias could be read as a version."""
    if not _ALIAS.fullmatch(alias):
        what = f"{alias!r} is no name of an alias"
        raise UserError(what, where="ALIAS", remedy="begin with a letter; versions are the numbers")
    return alias


def no_such_version(name: str, asked: str, known: Sequence[str], where: str) -> UserError:
    """The error for a version or an alias that is not there."""
    kind = "version" if asked.isdecimal() else "alias"
    remedy = nearest(asked, known) if known else f"give one: baton registry alias {name} {asked} VERSION"
    return UserError(f"{name} has no {kind} {asked!r}", where=where, remedy=remedy)
