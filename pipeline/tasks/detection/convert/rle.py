"""Run-length encoded masks of COCO: checked without drawing a pixel, so that their size costs nothing."""

import numpy as np
from numpy.typing import NDArray

from pipeline.tasks.detection.rows import Rle

MAX_PIXELS = 2**32 - 1  # pycocotools counts in 32 bits
_DIGITS = 7  # characters of 5 bits that a compressed count may have: 2**32 and its sign


def counts_of(mask: Rle) -> NDArray[np.int64]:
    """Lengths of the runs [N], outside first. Raises ValueError when they are not those of a mask of its size."""
    height, width = mask.size
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise ValueError(f"a mask of size [height, width] {[height, width]} is not possible")
    if isinstance(mask.counts, str):
        counts = _decompressed(mask.counts)
    elif any(abs(count) > MAX_PIXELS for count in mask.counts):
        raise ValueError(f"a run is longer than {MAX_PIXELS} pixels")
    else:
        counts = np.array(mask.counts, dtype=np.int64)
    if counts.size and counts.min() < 0:
        raise ValueError(f"run {int(np.argmax(counts < 0))} of the mask has a negative length")
    if counts.sum() != height * width:
        found = f"the runs of the mask cover {counts.sum():,} pixels"
        raise ValueError(f"{found}, its size [{height}, {width}] has {height * width:,}")
    return counts


def _decompressed(text: str) -> NDArray[np.int64]:
    """The counts of COCO's compressed form.

    Each character holds 5 bits above 48, the lowest first, and a sixth that says whether more follow; the last bit of a
    number is its sign; from the fourth number on, it is the difference to the last but one (`rleFrString` of cocoapi,
    common/maskApi.c).
    """
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    if codes.size == 0:
        return np.zeros(0, dtype=np.int64)
    if codes.min() < 0 or codes.max() > 63:
        raise ValueError("the compressed counts of the mask hold a character that cannot be in them")
    ends = np.flatnonzero(codes & 32 == 0)
    if ends.size == 0 or ends[-1] != codes.size - 1:
        raise ValueError("the compressed counts of the mask are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = np.arange(codes.size) - np.repeat(starts, ends - starts + 1)
    if digits.max() >= _DIGITS:
        raise ValueError(f"a run is longer than {MAX_PIXELS} pixels")
    values = np.add.reduceat((codes & 31) << (5 * digits), starts)
    values -= np.where(codes[ends] & 16, np.int64(1) << (5 * (digits[ends] + 1)), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
