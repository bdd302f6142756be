"""Vocabularies: objects to tokens and tokens to text. No torch.

"fragments"   pieces of JSON as tokens, and one token for each of the 1,000 coordinates: short sequences (six tokens a
              box), no broken quotes, no cut digits
"characters"  one token a character: long sequences, and the mistakes that models make which write digit by digit

Both write the same text. It is compact, because every character of it is a token of the second kind:
``[{"bbox_2d":[12,34,560,780],"desc":"circle"}]``, boxes or polygons as the prompt asks, no object: ``[]``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import UserError

Geometry = Literal["bbox_2d", "poly"]
GEOMETRIES: tuple[Geometry, ...] = ("bbox_2d", "poly")
NUM_COORDINATES = 1000

PAD, END = 0, 1
PROMPT_TOKENS: dict[Geometry, int] = {"bbox_2d": 2, "poly": 3}
"""The token that a text begins with, itself invisible: it says which geometry is asked for."""
FIRST_PIECE = 4

PROMPTS: dict[str, Geometry] = {"": "bbox_2d", "boxes": "bbox_2d", "polygons": "poly"}
"""What the own model can be asked for, and nothing else."""


@dataclass(frozen=True)
class Shape:
    """One object as it is written: ``points`` are whole numbers 0 to 999, flat, [x1, y1, x2, y2] for a box."""

    desc: str
    geometry: Geometry
    points: tuple[int, ...]


def read_prompt(prompt: str) -> Geometry:
    """The geometry that a prompt asks for. Raises UserError when the model was not trained on such a prompt."""
    geometry = PROMPTS.get(prompt.strip().lower())
    if geometry is None:
        known = ", ".join(repr(name) for name in PROMPTS if name)
        raise UserError(
            f"the model cannot be asked {prompt[:80]!r}", where="infer.prompt", remedy=f"use one of: {known}"
        )
    return geometry


def write_text(shapes: Sequence[Shape]) -> str:
    """The JSON text of objects, as the model is taught to write it."""
    objects = [f'{{"{one.geometry}":[{",".join(map(str, one.points))}],"desc":"{one.desc}"}}' for one in shapes]
    return f"[{','.join(objects)}]"


class Vocabulary(ABC):
    """``pieces`` are the texts of the tokens from `FIRST_PIECE` on; coordinates 0, 1, 2, ..., where there are any, come
    last, from ``first_coordinate`` on. ``size`` is the number of tokens."""

    num_coordinates = 0  # where digits are tokens

    def __init__(self, labels: Sequence[str]) -> None:
        self.pieces = self._pieces(labels)
        self._ids = {piece: number for number, piece in enumerate(self.pieces, FIRST_PIECE)}
        self.first_coordinate = FIRST_PIECE + len(self.pieces)
        self.size = self.first_coordinate + self.num_coordinates

    @abstractmethod
    def _pieces(self, labels: Sequence[str]) -> tuple[str, ...]: ...

    @abstractmethod
    def _encode(self, shapes: Sequence[Shape]) -> list[int]: ...

    def encode(self, shapes: Sequence[Shape], geometry: Geometry) -> list[int]:
        """The prompt's token, the objects, the end."""
        return [PROMPT_TOKENS[geometry], *self._encode(shapes), END]

    def decode(self, tokens: Sequence[int]) -> tuple[str, list[int]]:
        """The text of tokens, and for each token the length of the text up to its end (the offset behind it).

        Coordinates next to each other are written with a comma between them. Invisible tokens add nothing.
        """
        text, ends, after_coordinate = "", [], False
        for token in tokens:
            if token >= self.first_coordinate:
                text += ("," if after_coordinate else "") + str(token - self.first_coordinate)
            elif token >= FIRST_PIECE:
                text += self.pieces[token - FIRST_PIECE]
            after_coordinate = token >= self.first_coordinate
            ends.append(len(text))
        return text, ends


class Fragments(Vocabulary):
    """``[{"bbox_2d":[``, ``,{"bbox_2d":[``, the same for polygons, ``],"desc":"LABEL"}`` for every label, and so on."""

    num_coordinates = NUM_COORDINATES

    def _pieces(self, labels: Sequence[str]) -> tuple[str, ...]:
        openers = [f'{before}{{"{geometry}":[' for geometry in GEOMETRIES for before in "[,"]
        return ("[]", "]", *openers, *(f'],"desc":"{label}"}}' for label in labels))

    def _encode(self, shapes: Sequence[Shape]) -> list[int]:
        if not shapes:
            return [self._ids["[]"]]
        tokens = []
        for number, shape in enumerate(shapes):
            tokens.append(self._ids[f'{"," if number else "["}{{"{shape.geometry}":['])
            tokens += [self.first_coordinate + point for point in shape.points]
            tokens.append(self._ids[f'],"desc":"{shape.desc}"}}'])
        return [*tokens, self._ids["]"]]


class Characters(Vocabulary):
    """Every character that an answer can have."""

    def _pieces(self, labels: Sequence[str]) -> tuple[str, ...]:
        answers = [write_text([Shape("", geometry, (0, 0))] * 2) for geometry in GEOMETRIES]
        return tuple(sorted({*"0123456789", *"".join(labels), *"".join(answers)}))

    def _encode(self, shapes: Sequence[Shape]) -> list[int]:
        return [self._ids[character] for character in write_text(shapes)]


VOCABULARIES: dict[str, type[Vocabulary]] = {"fragments": Fragments, "characters": Characters}
