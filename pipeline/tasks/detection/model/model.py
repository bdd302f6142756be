"""What `load_model` returns for detection: images in, texts out, nothing kept in between."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.detection.answers import Answer, Request, token_logprobs
from pipeline.tasks.detection.model.decode import GREEDY, Writing, write_texts
from pipeline.tasks.detection.model.network import VisionTextNetwork
from pipeline.tasks.detection.model.tokens import read_prompt
from pipeline.tasks.detection.recipe import Infer
from schemas.brain import BrainSpec


class DetectionModel:
    """A vision-text network behind one pure method: the same input gives the same output in any batch.

    brain         the spec the network was built from
    metadata      what the file says about the training, the input and the output
    weights_hash  sha256 (64 hexadecimal digits) that names the weights
    module        the torch module, in evaluation mode
    """

    def __init__(
        self, module: torch.nn.Module, brain: BrainSpec, metadata: Mapping[str, Any], weights_hash: str
    ) -> None:
        if not isinstance(module, VisionTextNetwork):
            raise TypeError(f"a detection model needs a VisionTextNetwork, not {type(module).__name__}")
        self.module, self.brain, self.metadata, self.weights_hash = module, brain, metadata, weights_hash
        if module.training:
            module.eval()

    @property
    def image_size(self) -> int:
        """Side, in pixels, of the square images that the network sees."""
        return self.module.config.image_size

    def predict(
        self,
        images: ArrayLike | Sequence[NDArray[np.uint8]],
        prompt: str = "",
        decoding: Infer = GREEDY,
        generators: Sequence[np.random.Generator] | None = None,
    ) -> list[Writing]:
        """The texts for images: coordinates in them are 0 to 999 over the image, whatever its size.

        images      uint8 [B, H, W, 3] RGB, or a list of [H, W, 3] of any sizes; resized to the network's square
        prompt      "boxes" (or nothing) or "polygons"
        decoding    the section ``infer`` of a recipe: greedy by default
        generators  one a row; a temperature above 0 needs them

        Raises UserError when a shape, a type or a value does not fit.
        """
        geometry = read_prompt(prompt)
        rows = [self._fit(np.asarray(image), number) for number, image in enumerate(images)]  # type: ignore[arg-type]  # ArrayLike
        _check(decoding, generators, len(rows))
        if not rows:
            return []
        return list(write_texts(self.module, np.stack(rows), geometry, decoding, generators))

    def answer(self, requests: Sequence[Request], options: Infer) -> list[Answer]:
        """`predict` as `answers.TextModel` asks for it: one answer a request, in order."""
        answers: dict[int, Answer] = {}
        for prompt in dict.fromkeys(request.prompt for request in requests):
            places = [place for place, request in enumerate(requests) if request.prompt == prompt]
            asked = [requests[place] for place in places]
            images = [np.asarray(request.image) for request in asked]
            generators = [np.random.default_rng(request.seed) for request in asked]
            for place, writing in zip(places, self.predict(images, prompt, options, generators), strict=True):
                answers[place] = _answer(writing, options.keep_logprobs)
        return [answers[place] for place in range(len(requests))]

    def _fit(self, image: NDArray[Any], number: int) -> NDArray[np.uint8]:
        """The image as the network sees it, uint8 [S, S, 3]."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            what = f"an image is uint8 [H, W, 3], but here is {image.dtype} {list(image.shape)}"
            raise UserError(what, where=f"image {number}", remedy="convert it to RGB with values 0 to 255")
        side = self.image_size
        if image.shape[:2] == (side, side):
            return image
        return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _answer(writing: Writing, keep_logprobs: bool) -> Answer:
    tokens = token_logprobs(writing.ends, writing.logprobs) if keep_logprobs else None
    return Answer(writing.text, not writing.finished, tokens)


def _check(decoding: Infer, generators: Sequence[np.random.Generator] | None, num_rows: int) -> None:
    if not 0.0 <= decoding.temperature < float("inf"):
        raise UserError(f"temperature is {decoding.temperature}, but it is a number from 0 up")
    if not 0.0 < decoding.top_p <= 1.0:
        raise UserError(f"top_p is {decoding.top_p}, but it is above 0 and at most 1")
    if not 0.0 < decoding.repetition_penalty < float("inf"):
        raise UserError(f"repetition_penalty is {decoding.repetition_penalty}, but it is a number above 0")
    if decoding.max_new_tokens < 1:
        raise UserError(f"max_new_tokens is {decoding.max_new_tokens}, but it is at least 1")
    if decoding.temperature > 0.0 and (generators is None or len(generators) != num_rows):
        what = f"a temperature above 0 needs a generator for each of the {num_rows} images"
        raise UserError(what, remedy="pass generators=[numpy.random.default_rng(seed), ...]")
