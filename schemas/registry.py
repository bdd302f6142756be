"""What a folder of models keeps beside them: ``NAME/aliases.json``, which version each alias names (aliases_v1)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
VersionNumber = Annotated[str, Meta(pattern="^[1-9][0-9]*$")]
AliasName = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9._-]*$")]


class AliasTarget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an alias names: a version, and the hash that its file had when the alias was given."""

    version: VersionNumber
    sha256: Sha256


class Aliases(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The aliases of one name of a registry."""

    schema: Literal["aliases_v1"] = "aliases_v1"
    aliases: dict[AliasName, AliasTarget] = field(default_factory=dict)
