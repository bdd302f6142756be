"""Images to texts, token by token: greedy or sampled, with a key-value cache, many images at once.

A row's text depends on its image, the decoding and its own generator; not on the rows beside it, nor on how many there
are. So tiles of exactly `TILE_ROWS` images are decoded together (short ones are padded), as a matrix product picks its
kernel, and with it the order of its sums, by the number of its rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.model.layers import one_thread
from pipeline.tasks.detection.model.network import VisionTextNetwork
from pipeline.tasks.detection.model.sampling import choose, penalised
from pipeline.tasks.detection.model.tokens import END, FIRST_PIECE, PROMPT_TOKENS, Geometry
from pipeline.tasks.detection.recipe import Infer

TILE_ROWS = 8
"""Measured on one core with the pretrained model, tokens a second of a single image and of 64: tiles of 1 723 and 757,
of 4 373 and 1,299, of 8 296 and 1,992, of 16 170 and 2,213."""

GREEDY = Infer()
Generators = Sequence[np.random.Generator]
_NEVER_WRITTEN = [number for number in range(FIRST_PIECE) if number != END]  # padding and prompts


@dataclass(frozen=True)
class Writing:
    """What was written for one image.

    ``ends[i]`` is the length of the text up to the end of token i, ``logprobs[i]`` the natural logarithm of the
    probability that the model itself gave it (before temperature, top_p and penalty). ``finished``: the model wrote its
    end token, which has no entry, as against a text cut at ``max_new_tokens`` or at what the network can hold.
    """

    text: str
    ends: list[int]
    logprobs: list[float]
    finished: bool


@dataclass
class _Row:
    tokens: list[int]
    logprobs: list[float]
    finished: bool = False


def write_texts(
    network: VisionTextNetwork,
    images: NDArray[np.uint8],
    geometry: Geometry,
    decoding: Infer = GREEDY,
    generators: Generators | None = None,
) -> Iterator[Writing]:
    """One writing for each of the images uint8 [B, S, S, 3], in order.

    ``generators``, one a row, are needed when ``temperature`` is above 0 (see `sampling`).
    """
    for start in range(0, len(images), TILE_ROWS):
        tile = slice(start, start + TILE_ROWS)
        with torch.inference_mode(), one_thread():
            rows = _write_tile(network, images[tile], geometry, decoding, generators[tile] if generators else ())
        for row in rows:
            text, ends = network.vocabulary.decode(row.tokens)
            yield Writing(text, ends, row.logprobs, row.finished)


def _write_tile(
    network: VisionTextNetwork, images: NDArray[np.uint8], geometry: Geometry, decoding: Infer, generators: Generators
) -> list[_Row]:
    device = network.piece_table.device
    tile = torch.zeros(TILE_ROWS, *images.shape[1:], dtype=torch.uint8)
    tile[: len(images)] = torch.from_numpy(np.ascontiguousarray(images))
    image = network.remember(network.encode(tile.to(device))[0])
    cache = network.start(TILE_ROWS)
    rows = [_Row([], []) for _ in range(len(images))]
    seen = torch.zeros(len(images), network.vocabulary.size, dtype=torch.bool)
    tokens = torch.full((TILE_ROWS,), PROMPT_TOKENS[geometry], device=device)
    for at in range(min(decoding.max_new_tokens, network.config.max_tokens - 1)):
        answers = network.advance(tokens, image, cache, at)[: len(images)].cpu().double()
        answers[:, _NEVER_WRITTEN] = -torch.inf
        taken = choose(penalised(answers, seen, decoding.repetition_penalty), decoding, generators)
        logprobs = answers.log_softmax(-1).gather(1, taken[:, None])[:, 0]
        seen.scatter_(1, taken[:, None], True)
        for row, token, logprob in zip(rows, taken.tolist(), logprobs.tolist(), strict=True):
            row.finished |= token == END
            if not row.finished:
                row.tokens.append(token)
                row.logprobs.append(logprob)
        if all(row.finished for row in rows):
            break
        tokens[: len(images)] = taken.to(device)
    return rows
