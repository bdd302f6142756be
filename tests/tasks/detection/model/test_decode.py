"""Decoding: a text depends on its image and its own random stream, on nothing else; parameters do what they say."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import UserError
from pipeline.tasks.detection.answers import Request
from pipeline.tasks.detection.model.decode import TILE_ROWS
from pipeline.tasks.detection.model.model import DetectionModel
from pipeline.tasks.detection.model.network import brain_spec
from pipeline.tasks.detection.model.sampling import choose
from pipeline.tasks.detection.model.tokens import VOCABULARIES
from pipeline.tasks.detection.recipe import Infer
from tests.tasks.detection.tiny_model import make_network

SAMPLED = Infer(temperature=1.0, max_new_tokens=20)


def make(vocabulary: Any = "fragments", max_tokens: int = 30) -> DetectionModel:
    module = make_network(vocabulary, max_tokens)
    return DetectionModel(module, brain_spec(module.config), {}, "0" * 64)


def pictures(count: int, side: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def streams(rows: Any) -> list[np.random.Generator]:
    return [np.random.default_rng(int(row)) for row in rows]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_image_gets_the_same_text_and_bits_in_any_batch_at_any_place(vocabulary: str, temperature: float) -> None:
    model, images, count = make(vocabulary), pictures(2 * TILE_ROWS + 3), 2 * TILE_ROWS + 3
    decoding = Infer(temperature=temperature, max_new_tokens=20)
    expected = model.predict(images, "", decoding, streams(range(count)))
    assert len({writing.text for writing in expected}) > 3
    generator = np.random.default_rng(1)
    for size in (1, 2, 7, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1, count):
        rows = generator.permutation(count)[:size]
        assert model.predict(images[rows], "", decoding, streams(rows)) == [expected[row] for row in rows]


def test_the_number_of_threads_does_not_change_the_bits() -> None:
    model, images, before = make(), pictures(5), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = model.predict(images)
        torch.set_num_threads(2)
        assert model.predict(images) == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_log_probabilities_are_those_of_the_network() -> None:
    model, images = make(), pictures(3)
    net: Any = model.module
    for writing, image in zip(model.predict(images, "polygons"), images, strict=True):
        assert len(writing.ends) == len(writing.logprobs) and writing.ends[-1] == len(writing.text)
        written = torch.tensor([[3, *_tokens(model, writing.text, writing.ends)]])
        with torch.no_grad():
            memory, _ = net.encode(torch.from_numpy(image[None]))
            logits = net.logits(net(written, net.remember(memory)))[0].double()
        logits[:, [0, 2, 3]] = -torch.inf  # padding and prompts are never written
        expected = torch.log_softmax(logits, -1)[:-1].gather(1, written[0, 1:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(writing.logprobs).double(), expected, rtol=1e-4, atol=1e-4)


def _tokens(model: DetectionModel, text: str, ends: list[int]) -> list[int]:
    """The tokens of a text that is cut at ``ends``."""
    vocabulary: Any = model.module.vocabulary
    starts = [0, *ends[:-1]]
    pieces = [text[start:end] for start, end in zip(starts, ends, strict=True)]
    known = {piece: number for number, piece in enumerate(vocabulary.pieces, start=4)}
    return [
        known.get(piece, -1) if piece in known else vocabulary.first_coordinate + int(piece.strip(","))
        for piece in pieces
    ]


def test_a_text_is_cut_where_it_may_not_go_on_and_says_so() -> None:
    model, images = make(), pictures(4)
    free = model.predict(images, decoding=SAMPLED, generators=streams(range(4)))
    cut = model.predict(images, decoding=Infer(temperature=1.0, max_new_tokens=5), generators=streams(range(4)))
    for long, short in zip(free, cut, strict=True):
        assert long.text.startswith(short.text) and len(short.ends) <= 5
        assert short.finished == (len(short.ends) < 5)
    assert not all(short.finished for short in cut)


def test_no_text_is_longer_than_the_network_can_hold() -> None:
    model = make(max_tokens=6)
    for writing in model.predict(pictures(4), decoding=Infer(max_new_tokens=1000)):
        assert len(writing.ends) <= 5


def test_the_prompt_changes_the_text() -> None:
    model, images = make(), pictures(6)
    assert model.predict(images, "boxes") == model.predict(images)
    assert model.predict(images, "boxes") != model.predict(images, "polygons")


def test_a_repetition_penalty_makes_texts_repeat_themselves_less() -> None:
    model, images = make("characters"), pictures(8)

    def variety(penalty: float) -> float:
        decoding = Infer(repetition_penalty=penalty, max_new_tokens=25)
        texts = [writing.text for writing in model.predict(images, decoding=decoding)]
        return sum(len(set(text)) for text in texts) / max(sum(map(len, texts)), 1)

    assert variety(1e6) > variety(1.0)


@pytest.mark.parametrize(
    ("top_p", "chances", "expected"),
    [
        (1.0, (0.0, 0.49, 0.51, 0.79, 0.81, 0.999999), (2, 2, 0, 0, 1, 1)),
        (0.5, (0.0, 0.999999), (2, 2)),
        (0.6, (0.0, 0.62, 0.63, 0.999999), (2, 2, 0, 0)),
        (1e-9, (0.0, 0.999999), (2, 2)),
    ],
)
def test_sampling_draws_from_the_likeliest_tokens_that_make_up_top_p(
    top_p: float, chances: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    """Probabilities .3, .2, .5; the last token cannot be."""
    logits = torch.tensor([[0.3, 0.2, 0.5, 0.0]] * len(chances), dtype=torch.float64).log()
    streams: Any = [SimpleNamespace(random=lambda chance=chance: chance) for chance in chances]
    assert tuple(choose(logits, Infer(temperature=1.0, top_p=top_p), streams).tolist()) == expected


def test_temperature_zero_takes_the_first_of_the_likeliest_tokens() -> None:
    assert choose(torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 3.0]]), Infer(), ()).tolist() == [0, 1]


def test_a_low_temperature_is_nearly_greedy_and_a_high_one_is_not() -> None:
    model, images = make(), pictures(8)
    greedy = model.predict(images, decoding=Infer(max_new_tokens=8))
    cold = Infer(temperature=1e-6, max_new_tokens=8)
    assert [w.text for w in model.predict(images, "", cold, streams(range(8)))] == [w.text for w in greedy]
    hot = Infer(temperature=5.0, max_new_tokens=8)
    assert [w.text for w in model.predict(images, "", hot, streams(range(8)))] != [w.text for w in greedy]


def test_images_of_other_sizes_are_resized() -> None:
    model, image = make(), pictures(1, side=64)[0]
    small = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
    assert model.predict([image, small])[0] == model.predict([small])[0]
    assert model.predict([]) == []


def test_answers_to_requests_are_in_their_order_with_their_own_prompts_and_streams() -> None:
    model, images = make(), pictures(3)
    prompts = ("boxes", "polygons", "boxes")
    requests = [
        Request(id=str(n), image=Image.fromarray(image), prompt=prompt, seed=n)
        for n, (image, prompt) in enumerate(zip(images, prompts, strict=True))
    ]
    answers = model.answer(requests, Infer(temperature=1.0, max_new_tokens=12, keep_logprobs=True))
    for number, answer in enumerate(answers):
        decoding = Infer(temperature=1.0, max_new_tokens=12)
        (writing,) = model.predict(images[number : number + 1], prompts[number], decoding, streams([number]))
        assert answer.text == writing.text and answer.cut == (not writing.finished)
        assert answer.tokens is not None and answer.tokens.ends == writing.ends
    assert model.answer(requests, Infer())[0].tokens is None


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"images": np.zeros((1, 32, 32, 4), np.uint8)}, "an image is uint8"),
        ({"images": np.zeros((1, 32, 32, 3), np.float32)}, "an image is uint8"),
        ({"images": np.zeros((1, 0, 32, 3), np.uint8)}, "an image is uint8"),
        ({"prompt": "cats"}, "cannot be asked"),
        ({"decoding": SAMPLED}, "needs a generator for each of the 2 images"),
        ({"decoding": SAMPLED, "generators": streams([1])}, "needs a generator for each"),
        ({"decoding": Infer(temperature=-1.0)}, "temperature is -1.0"),
        ({"decoding": Infer(top_p=0.0)}, "top_p is 0.0"),
        ({"decoding": Infer(repetition_penalty=0.0)}, "repetition_penalty is 0.0"),
        ({"decoding": Infer(max_new_tokens=0)}, "max_new_tokens is 0"),
    ],
)
def test_predict_says_what_does_not_fit(arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what):
        make().predict(**{"images": pictures(2), **arguments})
