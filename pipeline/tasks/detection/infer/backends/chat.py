"""Chat completions as OpenAI defined them and vLLM and others offer them: what is sent, and what comes back.

https://platform.openai.com/docs/api-reference/chat/create
"""

import base64
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from PIL import Image

from pipeline.tasks.detection.answers import Answer, Request, token_logprobs
from pipeline.tasks.detection.images import png_of, shows_the_same
from pipeline.tasks.detection.recipe import Infer
from pipeline.tasks.detection.rows import TokenLogprobs

# What servers take as it is. Other formats are sent as PNG, and so is an image whose EXIF asks to be turned (some
# servers would turn it, and others not) or that has more than 8 bits (some would cut them off).
_SENT_AS_STORED = ("image/png", "image/jpeg", "image/webp", "image/gif")


def payload(request: Request, options: Infer) -> bytes:
    """The JSON body of one request: the image as a data URL, then the prompt."""
    image = {"type": "image_url", "image_url": {"url": data_url(request)}}
    content = [image, {"type": "text", "text": request.prompt}]
    body: dict[str, Any] = {
        "model": options.server.model,
        "messages": [{"role": "user", "content": content}],
        "temperature": options.temperature,
        "top_p": options.top_p,
        "max_tokens": options.max_new_tokens,
        "seed": request.seed % 2**31,  # some servers take no more
        "stream": False,
    }
    if options.repetition_penalty != 1.0:  # not OpenAI's: vLLM, SGLang and llama.cpp know it
        body["repetition_penalty"] = options.repetition_penalty
    if options.keep_logprobs:
        body["logprobs"] = True
    return msgspec.json.encode(body)


def data_url(request: Request) -> str:
    """``data:image/png;base64,...`` of the request's image."""
    data, media_type = request.file, request.media_type
    if media_type not in _SENT_AS_STORED or not shows_the_same(data):
        assert request.image is not None, "a server looks at images"
        bare = Image.frombytes("RGB", request.image.size, request.image.tobytes())  # without its EXIF
        data, media_type = png_of(bare), "image/png"
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


class _Part(Struct):
    text: str = ""


class _Message(Struct):
    content: str | list[_Part] | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: Any = None


class _Reply(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]


_decoder = msgspec.json.Decoder(_Reply)


def read_reply(data: bytes) -> Answer:
    """The answer in the body of a reply. Raises ValueError when it is not what the interface promises."""
    try:
        choice = _decoder.decode(data).choices[0]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the answer does not read: {error}") from error
    content = choice.message.content
    text = "".join(part.text for part in content) if isinstance(content, list) else content or ""
    return Answer(text, choice.finish_reason == "length", _tokens(choice.logprobs, text))


def _tokens(logprobs: Any, text: str) -> TokenLogprobs | None:
    """Log probabilities where they are given for tokens whose bytes make up the text; None otherwise."""
    try:
        entries = [(_token_bytes(entry), float(entry["logprob"])) for entry in logprobs["content"]]
    except (TypeError, KeyError, ValueError):
        return None
    written, ends, kept = b"", [], []
    whole = text.encode()
    for data, logprob in entries:
        if len(written) == len(whole):  # what follows is the end token
            break
        written += data
        ends.append(len(written.decode(errors="ignore")))
        kept.append(logprob)
    return token_logprobs(ends, kept) if written == whole else None


def _token_bytes(entry: Any) -> bytes:
    data = entry.get("bytes")
    return str(entry["token"]).encode() if data is None else bytes(data)
