"""Checkpoints of version 3, a whole training of an older system, as a checkpoint_v0."""

from collections.abc import Mapping
from typing import Any

from pipeline.errors import UserError

_NEEDED = ("version", "population_state.q_network", "training_config.population.network_type")
_TOLD = {
    "step": ("population_state.total_steps",),
    "episode": ("episode",),
    "epsilon": ("epsilon",),
    "observation_dim": ("observation_dim", "population_state.universe_metadata.obs_dim"),
}


def unpack(contents: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What a checkpoint_v0 has of it, and a sentence for each thing that it does not say.

    Raises UserError that names every key that is missing.
    """
    missing = [key for key in _NEEDED if _at(contents, key) is None]
    if missing:
        raise UserError(f"a checkpoint of version 3 lacks {', '.join(missing)}", remedy="take one that was saved whole")
    if contents["version"] != 3:
        raise UserError(f"version is {contents['version']!r}; known is 3", where="version")
    told = {key: _first(contents, places) for key, places in _TOLD.items()}
    said = [f"{key}: not told ({', '.join(_TOLD[key])} is missing)" for key in told if told[key] is None]
    meaning = _at(contents, "substrate_metadata.observation_encoding")
    if meaning is None:
        said.append(
            "observation: the checkpoint does not say what its numbers mean; what is said here does (--trained-in)"
        )
    else:
        said.append(f"observation: substrate_metadata.observation_encoding is {str(meaning)[:80]!r}")
    if contents.get("not_read"):
        said.append(f"not read: objects of {', '.join(contents['not_read'])}")
    size = told.pop("observation_dim")
    if not isinstance(size, int | None):
        raise UserError(f"observation_dim is {str(size)[:40]!r}, not a number", where="observation_dim")
    kind = _at(contents, "training_config.population.network_type")
    fixed = {} if kind == "dueling" else {"activation": "relu", "dropout": 0.0}  # as the two others always were
    params = fixed | ({} if size is None else {"observation_dim": size})
    return {
        "state_dict": _at(contents, "population_state.q_network"),
        "network_type": kind,
        "params": params,
        **{key: value for key, value in told.items() if value is not None},
        "step": told["step"] or 0,
    }, said


def _at(contents: Any, path: str) -> Any:
    """The value under a path of keys, None where there is none."""
    for key in path.split("."):
        contents = contents.get(key) if isinstance(contents, Mapping) else None
    return contents


def _first(contents: Any, paths: tuple[str, ...]) -> Any:
    """The value of the first path that has one."""
    return next((value for path in paths if (value := _at(contents, path)) is not None), None)
