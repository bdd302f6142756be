"""Several Q-networks that act as one, and how far they disagree.

Networks value actions on scales of their own, so Q-values are compared after scaling: in each state, the values of the
allowed actions have mean 0 and standard deviation 1.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from pipeline.contract.jobs import EnsembleRule
from pipeline.errors import UserError
from pipeline.tasks.gridworld.model.model import GridworldModel
from pipeline.tasks.gridworld.town.arrays import F32, F64, Bools

Floats = F64
Hidden = Sequence[F32 | None]


class GridworldEnsemble:
    """M models as one. The order in which they were given does not matter: they are taken in that of their hashes.

    ``metadata`` is what the members agree on; ``weights_hash`` names the rule and the members.
    """

    def __init__(self, members: Sequence[GridworldModel], rule: EnsembleRule) -> None:
        self.members = sorted(members, key=lambda member: member.weights_hash)
        self.rule = rule
        self.weights_hash = _hash_of(self.members, rule)
        self.module = torch.nn.ModuleList([member.module for member in self.members])
        self.brain = self.members[0].brain
        self.metadata = _common(self.members)

    def predict(self, observations: F32, hidden: Hidden | None) -> tuple[F32, Hidden]:
        """Q-values float32 [N, M, A] of all members, and their own hidden states; ``hidden`` None at the start."""
        before = [None] * len(self.members) if hidden is None else hidden
        decisions = [m.predict(observations, hidden=h) for m, h in zip(self.members, before, strict=True)]
        return np.stack([d.q_values for d in decisions], axis=1), [d.hidden for d in decisions]

    def combine(self, q: F32, mask: Bools) -> tuple[Floats, Floats]:
        """What `combine` makes of ``q`` [N, M, A] under this ensemble's rule."""
        return combine(q, mask, self.rule)


def combine(q: F32, mask: Bools, rule: EnsembleRule) -> tuple[Floats, Floats]:
    """Scores [N, A], the highest of which among the allowed ones is the action, and how far the members differ about
    each action, [N, A]: the standard deviation of their scaled values.

    q  [N, M, A]; mask  bool [N, A]: which actions are allowed

    mean                the mean of the scaled values
    vote                how many members would take the action; the mean decides between equals
    least_disagreement  of the actions that any member would take, the one about which they differ least
    """
    scaled = _scaled(q, mask)
    means, spread = scaled.mean(axis=1), scaled.std(axis=1)
    if rule == "mean":
        return means, spread
    favourites = np.where(mask[:, None], scaled, -np.inf).argmax(axis=2)
    votes = (favourites[:, :, None] == np.arange(q.shape[2])).sum(axis=1)
    if rule == "vote":
        return votes + 1.0 / (1.0 + np.exp(-means)), spread
    # scaled values are at most sqrt(A) from 0, and so is their spread
    return np.where(votes > 0, -spread, -spread - 2.0 * q.shape[2] ** 0.5), spread


def _scaled(q: F32, mask: Bools) -> Floats:
    """Values [N, M, A] of mean 0 and standard deviation 1 over the allowed actions; 0 where these have one value."""
    allowed = mask[:, None].astype(np.float64)
    num = allowed.sum(axis=2, keepdims=True)
    centred = q - (q * allowed).sum(axis=2, keepdims=True) / num
    deviation = np.sqrt((centred**2 * allowed).sum(axis=2, keepdims=True) / num)
    scaled: Floats = np.where(
        mask[:, None] & (deviation > 0.0), centred / np.where(deviation > 0.0, deviation, 1.0), 0.0
    )
    return scaled


def _hash_of(members: Sequence[GridworldModel], rule: EnsembleRule) -> str:
    for one, other in pairwise(members):
        if one.weights_hash == other.weights_hash:
            what = f"two members of the ensemble are one model ({one.weights_hash[:16]})"
            raise UserError(what, where="--model", remedy="give different models")
    return hashlib.sha256("\n".join([rule, *(m.weights_hash for m in members)]).encode()).hexdigest()


def _common(members: Sequence[GridworldModel]) -> dict[str, Any]:
    """What the members say of themselves, where all say the same. Raises UserError when they do not see the same."""
    first, *others = members
    for other in others:
        if other.brain.input_size != first.brain.input_size or _encoding(other) != _encoding(first):
            raise UserError(
                f"the members do not see the same: {first.brain.input_size} numbers ({_encoding(first)}) and "
                f"{other.brain.input_size} ({_encoding(other)})",
                where="--model",
                remedy="give models of one level and one encoding",
            )
    same = {k: v for k, v in first.metadata.items() if all(other.metadata.get(k) == v for other in others)}
    return same | {"input": first.metadata["input"]}


def _encoding(model: GridworldModel) -> Any:
    return model.metadata["input"].get("encoding")
