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
from pipeline.tasks.detection.model.tokens import END, FIRST_PIECE, PROMPT_TOKENS, Geometry

TILE_ROWS = 8
"""Measured on one core with the pretrained model, tokens a second of a single image and of 64: tiles of 1 723 and 757,
of 4 373 and 1,299, of 8 296 and 1,992, of 16 170 and 2,213."""

Generators = Sequence[np.random.Generator]
Logits = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """``temperature`` 0 takes the likeliest token (the lowest number among equals); else the likeliest tokens that
    make up ``top_p`` of the probability (at least one) are drawn from. ``repetition_penalty`` divides the positive
    logits of tokens that were written before, and multiplies the negative ones (Keskar et al. 2019)."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512


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
    decoding: Decoding,
    generators: Generators | None = None,
) -> Iterator[Writing]:
    """One writing for each of the images uint8 [B, S, S, 3], in order.

    ``generators``, one a row, are needed when ``temperature`` is above 0, and draw one number a token.
    """
    for start in range(0, len(images), TILE_ROWS):
        tile = slice(start, start + TILE_ROWS)
        with torch.inference_mode(), one_thread():
            rows = _write_tile(network, images[tile], geometry, decoding, generators[tile] if generators else ())
        for row in rows:
            text, ends = network.vocabulary.decode(row.tokens)
            yield Writing(text, ends, row.logprobs, row.finished)


def _write_tile(
    network: VisionTextNetwork,
    images: NDArray[np.uint8],
    geometry: Geometry,
    decoding: Decoding,
    generators: Generators,
) -> list[_Row]:
    device = network.piece_table.device
    tile = torch.zeros(TILE_ROWS, *images.shape[1:], dtype=torch.uint8)
    tile[: len(images)] = torch.from_numpy(np.ascontiguousarray(images))
    image = network.remember(network.encode(tile.to(device))[0])
    cache = network.start(TILE_ROWS)
    rows = [_Row([], []) for _ in range(len(images))]
    seen = np.zeros((len(images), network.vocabulary.size), np.bool_)
    tokens = torch.full((TILE_ROWS,), PROMPT_TOKENS[geometry], device=device)
    for at in range(min(decoding.max_new_tokens, network.config.max_tokens - 1)):
        answers = network.advance(tokens, image, cache, at)[: len(images)].cpu().numpy().astype(np.float64)
        answers[:, [number for number in range(FIRST_PIECE) if number != END]] = -np.inf  # never written
        taken = _take(answers, seen, decoding, generators, rows)
        logprobs = _log_softmax(answers)
        for number, (row, token) in enumerate(zip(rows, taken.tolist(), strict=True)):
            if row.finished:
                continue
            row.finished = token == END
            if not row.finished:
                row.tokens.append(token)
                row.logprobs.append(float(logprobs[number, token]))
                seen[number, token] = True
        if all(row.finished for row in rows):
            break
        tokens[: len(images)] = torch.from_numpy(taken).to(device)
    return rows


def _take(
    answers: Logits, seen: NDArray[np.bool_], decoding: Decoding, generators: Generators, rows: Sequence[_Row]
) -> NDArray[np.int64]:
    """The next token of every row, int64 [B]; rows that are finished draw nothing."""
    if decoding.repetition_penalty != 1.0:
        penalty = decoding.repetition_penalty
        answers = np.where(seen, np.where(answers > 0, answers / penalty, answers * penalty), answers)
    taken: NDArray[np.int64] = answers.argmax(1)
    if decoding.temperature > 0.0:
        for number, row in enumerate(rows):
            if not row.finished:
                chance = generators[number].random()
                taken[number] = sample(answers[number] / decoding.temperature, decoding.top_p, chance)
    return taken


def sample(logits: Logits, top_p: float, chance: float) -> int:
    """A token by the uniform draw ``chance`` in [0, 1), among the likeliest that make up ``top_p`` (Holtzman et al.
    2020); logits float64 [V]."""
    order = np.argsort(-logits, kind="stable")
    shares = np.exp(logits[order] - logits[order[0]])
    totals = np.cumsum(shares)
    kept = int(np.searchsorted(totals, top_p * totals[-1])) + 1
    kept = min(kept, int((shares > 0).sum()))
    return int(order[min(int(np.searchsorted(totals[:kept], chance * totals[kept - 1], side="right")), kept - 1)])


def _log_softmax(logits: Logits) -> Logits:
    shifted = logits - logits.max(1, keepdims=True)
    logprobs: Logits = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return logprobs
