"""A Hugging Face checkpoint folder: model, processor and tokenizer, from files alone, without running code of them."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before transformers is loaded: a folder that lacks a file must not make it ask a server for one.
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from pipeline.errors import UserError

_FROM_FILES = {"local_files_only": True, "trust_remote_code": False}
_MESSAGE_LENGTH = 300


@dataclass(frozen=True)
class Checkpoint:
    """What `load_checkpoint` found. ``end_ids`` are the tokens that end a text; ``pad_id`` fills short rows."""

    model: Any
    processor: Any
    tokenizer: Any
    end_ids: tuple[int, ...]
    pad_id: int


def load_checkpoint(folder: Path, *, precision: str, device: str) -> Checkpoint:
    """Open a checkpoint for `generate`. ``precision`` "stored" keeps that of the weights.

    Raises UserError when the folder is no whole checkpoint of an image-text-to-text model, when it needs code of its
    own, and when weights are missing (which transformers would replace by random ones).
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with _told(folder):
        processor = _processor(folder)
        model, found = transformers.AutoModelForImageTextToText.from_pretrained(
            folder,
            dtype="auto" if precision == "stored" else getattr(torch, precision),
            use_safetensors=True,
            output_loading_info=True,
            **_FROM_FILES,
        )
    _refuse_missing(folder, found)
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "left"
    if processor.chat_template is None:
        processor.chat_template = tokenizer.chat_template
    if processor.chat_template is None:
        what = "the checkpoint has no chat template: nothing says how it is asked"
        remedy = "take the instruction-tuned checkpoint, or add chat_template.jinja"
        raise UserError(what, where=str(folder), remedy=remedy)
    end_ids = _end_ids(folder, model, tokenizer)
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end_ids[0]
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_id)
    # Sampling settings that the checkpoint brings along would be mixed into those of the recipe.
    model.generation_config = transformers.GenerationConfig(eos_token_id=list(end_ids), pad_token_id=pad_id)
    return Checkpoint(_moved(model.eval(), device), processor, tokenizer, end_ids, pad_id)


def _processor(folder: Path) -> Any:
    """The checkpoint's processor; without torchvision one that takes no videos, on top of PIL."""
    try:
        processor = transformers.AutoProcessor.from_pretrained(folder, **_FROM_FILES)
    except ImportError:
        processor = _without_video(folder)
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ValueError("it has no processor for images and text")
    return processor


def _without_video(folder: Path) -> Any:
    """A processor whose video part, which needs torchvision, is left out."""
    kind = transformers.AutoConfig.from_pretrained(folder, **_FROM_FILES).model_type
    base: Any = getattr(transformers, PROCESSOR_MAPPING_NAMES[kind])

    class WithoutVideo(base):  # type: ignore[misc]  # known when the checkpoint is
        """The same processor; parts may be None."""

        get_attributes = base.get_attributes

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            """Which class a part must have."""
            return None if argument is None else super().check_argument_for_proper_class(argument_name, argument)

    parts: dict[str, Any] = dict.fromkeys(base.get_attributes())
    parts["tokenizer"] = transformers.AutoTokenizer.from_pretrained(folder, **_FROM_FILES)
    parts["image_processor"] = transformers.AutoImageProcessor.from_pretrained(folder, **_FROM_FILES)
    return WithoutVideo(**parts, chat_template=parts["tokenizer"].chat_template)


def _refuse_missing(folder: Path, found: dict[str, Any]) -> None:
    for key, what in (("missing_keys", "is missing"), ("mismatched_keys", "has another shape than the model's")):
        if found.get(key):
            first = sorted(map(str, found[key]))[0]
            raise UserError(
                f"{len(found[key])} of the model's tensors cannot be filled: the first {what}",
                where=f"{folder}: {first}",
                remedy="take a whole checkpoint: transformers would draw these at random",
            )


def _end_ids(folder: Path, model: Any, tokenizer: Any) -> tuple[int, ...]:
    stated = model.generation_config.eos_token_id
    ids = [*(stated if isinstance(stated, list) else [stated]), tokenizer.eos_token_id]
    known = tuple(dict.fromkeys(number for number in ids if number is not None))
    if not known:
        what = "neither generation_config.json nor the tokenizer says which token ends a text"
        raise UserError(what, where=str(folder))
    return known


def _moved(model: Any, device: str) -> Any:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).splitlines()[0]
        raise UserError(f"the model cannot be moved to {device!r}: {reason}", where="--device") from error


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Whatever loading raises, as what is wrong with the folder."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the library has no error of its own: it raises what its parts raise
        text = " ".join(str(error).split())[:_MESSAGE_LENGTH]
        raise UserError(
            f"the checkpoint cannot be loaded: {text or type(error).__name__}",
            where=str(folder),
            remedy="it takes config.json, *.safetensors, tokenizer and preprocessor of a model that transformers knows",
        ) from error
