"""A local Hugging Face checkpoint: the Qwen-VL family, and what else AutoModelForImageTextToText loads.

A batch is padded on the left, so that every row is continued right behind its own prompt, and each row is cut at its
own end token.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from pipeline.contract.jobs import InferJob
from pipeline.files.hashes import hash_config
from pipeline.tasks.detection.answers import Answer, Failure, Outcome, Request, TextBackend, token_logprobs
from pipeline.tasks.detection.infer.backends.checkpoint import Checkpoint, load_checkpoint
from pipeline.tasks.detection.infer.backends.sampling import TokenChooser
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import TokenLogprobs


class HuggingFaceModel:
    """A checkpoint behind ``answer``: one outcome a request, in order, whatever stands beside it in the batch."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def answer(self, requests: Sequence[Request], options: Infer) -> list[Outcome]:
        """The texts for a batch. Whatever transformers raises on odd input is raised."""
        inputs, seeds = self._inputs(requests), [request.seed for request in requests]
        chooser = TokenChooser(options, seeds, inputs["attention_mask"], self._checkpoint.end_ids[0])
        with torch.inference_mode():
            sequences = self._checkpoint.model.generate(
                **inputs, max_new_tokens=options.max_new_tokens, do_sample=False, logits_processor=[chooser]
            )
        written = sequences[:, chooser.prompt_length :].cpu()
        logprobs = torch.stack(chooser.logprobs, dim=1)
        return [
            self._outcome(row, row_logprobs, bool(finite), options.keep_logprobs)
            for row, row_logprobs, finite in zip(written, logprobs, chooser.is_finite, strict=True)
        ]

    def _inputs(self, requests: Sequence[Request]) -> Any:
        """What the processor makes of a batch: ids and attention mask int64 [B, T], pixels as the model wants them."""
        processor, model = self._checkpoint.processor, self._checkpoint.model
        content = [[{"type": "image"}, {"type": "text", "text": request.prompt}] for request in requests]
        messages = [[{"role": "user", "content": one}] for one in content]
        texts = [processor.apply_chat_template(one, add_generation_prompt=True, tokenize=False) for one in messages]
        beginning = self._checkpoint.tokenizer.bos_token
        begun = beginning is not None and texts[0].startswith(beginning)  # a second one would change the answer
        inputs = processor(
            images=[[request.image] for request in requests],
            text=texts,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            **({"add_special_tokens": False} if begun else {}),
        )
        return inputs.to(model.device, dtype=model.dtype)  # the dtype is for numbers with a point alone

    def _outcome(self, ids: Tensor, logprobs: Tensor, finite: bool, keep_logprobs: bool) -> Outcome:
        if not finite:
            return Failure("model_not_finite", "the model's logits were NaN or infinite")
        taken = ids.tolist()
        ends = [place for place, token in enumerate(taken) if token in self._checkpoint.end_ids]
        length = ends[0] if ends else len(taken)
        text = self._decode(taken[:length])
        tokens = self._tokens(taken[:length], text, logprobs) if keep_logprobs else None
        return Answer(text, not ends, tokens)

    def _decode(self, ids: Sequence[int]) -> str:
        """Verbatim: tokens such as <|coord_12|>, which some tokenizers call special, are part of the text."""
        tokenizer = self._checkpoint.tokenizer
        return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def _tokens(self, ids: Sequence[int], text: str, logprobs: Tensor) -> TokenLogprobs:
        """Half a character, where a token ends in one, does not stand in the text yet."""
        starts = [self._decode(ids[: number + 1]) for number in range(len(ids))]
        ends = [len(os.path.commonprefix((text, start))) for start in starts]  # noqa: RUF071  (by characters)
        return token_logprobs(ends, logprobs[: len(ids)].tolist())


def open_backend(job: InferJob) -> TextBackend:
    """The checkpoint whose folder the run was given. Raises UserError as `load_checkpoint`."""
    options = cast(Infer, job.options)
    model_hash = hash_config({name: one.sha256 for name, one in job.inputs.items() if name.startswith("model/")})
    job.note("model", model_hash[:16])
    job.note("model_sha256", model_hash)
    folder = Path(job.source.files["model/config.json"]).parent
    checkpoint = load_checkpoint(folder, precision=options.precision, device=job.device)
    return TextBackend(HuggingFaceModel(checkpoint), model_hash[:16], options)
