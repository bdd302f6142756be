"""The network: what a spec can say builds and learns; a token sees the past alone; other specs are refused."""

from typing import Any

import msgspec
import pytest
import torch

from pipeline.errors import UserError
from pipeline.model.brain import read_brain
from pipeline.tasks.detection.model.network import (
    VisionTextBrain,
    VisionTextNetwork,
    brain_spec,
    build,
    golden_outputs,
    parse_network,
)
from pipeline.tasks.detection.model.tokens import NUM_COORDINATES, VOCABULARIES

LABELS = ("circle", "square")
SMALL: dict[str, Any] = {
    "type": "vision_text",
    "width": 32,
    "num_blocks": 1,
    "num_encoder_layers": 1,
    "num_layers": 2,
    "num_heads": 2,
    "image_size": 32,
    "labels": LABELS,
    "max_tokens": 12,
}
KINDS: dict[str, dict[str, Any]] = {
    "fragments": SMALL,
    "characters": {**SMALL, "vocabulary": "characters"},
    "no blocks, no encoder layers": {**SMALL, "num_blocks": 0, "num_encoder_layers": 0},
}


def make(network: dict[str, Any], seed: int = 0) -> VisionTextNetwork:
    return build(brain_spec(parse_network(network)), torch.Generator().manual_seed(seed))


def images(count: int = 2, side: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def tokens(net: VisionTextNetwork, count: int = 2, length: int = 9) -> torch.Tensor:
    """Any coordinates, every other one of them another token."""
    generator = torch.Generator().manual_seed(2)
    written = torch.randint(0, net.vocabulary.size, (count, length), generator=generator)
    written[:, ::2] = torch.randint(0, net.num_pieces, written[:, ::2].shape, generator=generator)
    return written


def logits(net: VisionTextNetwork, pixels: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
    return net.logits(net(written, net.remember(net.encode(pixels)[0])))


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_gets_a_gradient(name: str) -> None:
    net = make(KINDS[name])
    memory, dense = net.encode(images())
    answers = net.logits(net(tokens(net, length=12), net.remember(memory)))
    assert answers.shape == (2, 12, net.vocabulary.size)
    total = answers.square().sum() + sum(part.square().sum() for part in dense)
    total.backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


@pytest.mark.parametrize("name", ["fragments", "characters"])
def test_one_batch_can_be_learned_by_heart(name: str) -> None:
    net = make(KINDS[name])
    pixels, written = images(), tokens(net)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        answers = logits(net, pixels, written[:, :-1])
        loss = torch.nn.functional.cross_entropy(answers.flatten(0, 1), written[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_token_by_token_is_the_same_as_the_whole_text(name: str) -> None:
    net = make(KINDS[name])
    pixels, written = images(), tokens(net)
    expected = logits(net, pixels, written)
    image, cache = net.remember(net.encode(pixels)[0]), net.start(2)
    for at in range(written.shape[1]):
        answers = net.advance(written[:, at], image, cache, at)
        torch.testing.assert_close(answers, expected[:, at], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_token_sees_the_image_and_the_past_and_not_the_future() -> None:
    net = make(SMALL)
    pixels, written = images(), tokens(net)
    before = logits(net, pixels, written)
    changed = written.clone()
    changed[:, 5] = (changed[:, 5] + 1) % net.vocabulary.size
    after = logits(net, pixels, changed)
    assert torch.equal(after[:, :5], before[:, :5])
    assert (after[:, 5:] != before[:, 5:]).any(-1).all()
    other = pixels.clone()
    other[0] = 255 - other[0]
    assert not torch.allclose(logits(net, other, written)[0], before[0])
    torch.testing.assert_close(logits(net, other, written)[1], before[1])


@torch.no_grad()
def test_neighbouring_coordinates_look_alike_and_far_ones_do_not() -> None:
    net = make(SMALL)
    first = net.vocabulary.first_coordinate
    vectors = net.embed(torch.tensor([[first + 500], [first + 501], [first + 900]]))[:, 0] - net.order_table[0]
    alike, unlike = (torch.cosine_similarity(vectors[0], other, dim=0) for other in vectors[1:])
    assert alike > 0.95 > unlike


@torch.no_grad()
def test_jitter_moves_coordinates_within_the_image_and_no_other_token() -> None:
    net = make(SMALL)
    first = net.vocabulary.first_coordinate
    row = torch.tensor([[4, first, first + 10, first + NUM_COORDINATES - 1]])
    moved = net.embed(row, 0, torch.tensor([[5.0, -5.0, 5.0, 5.0]]))
    expected = net.embed(torch.tensor([[4, first, first + 15, first + NUM_COORDINATES - 1]]))
    torch.testing.assert_close(moved, expected)


def test_the_same_generator_gives_the_same_weights_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    one, two, other = make(SMALL), make(SMALL), make(SMALL, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_golden_outputs_are_repeatable_and_of_their_image() -> None:
    net = make(SMALL).eval()
    inputs = {"images": images(), "tokens": tokens(net)}
    one, two = golden_outputs(net, inputs), golden_outputs(net, inputs)
    assert one["logits"].shape == (2, 9, net.vocabulary.size) and torch.equal(one["logits"], two["logits"])


def test_learning_goes_on_after_answering() -> None:
    """Tables that are made while answering must not be closed to gradients."""
    net = make({**SMALL, "image_size": 40})
    golden_outputs(net, {"images": images(side=40), "tokens": tokens(net)})
    logits(net, images(side=40), tokens(net)).sum().backward()  # type: ignore[no-untyped-call]  # torch's


def test_a_spec_with_its_defaults_left_out_is_the_same_spec() -> None:
    short = {"type": "vision_text", "image_size": 64, "labels": LABELS, "max_tokens": 100}
    spec = brain_spec(parse_network(short))
    assert spec.input_size == 64 * 64 * 3 and spec.output_size == VOCABULARIES["fragments"](labels=LABELS).size
    assert read_brain(msgspec.structs.replace(spec, network=short)) == read_brain(spec)
    assert VisionTextBrain(image_size=64, labels=LABELS, max_tokens=100) == parse_network(short)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"widht": 32}, "network has no key 'widht'"),
        ({"type": "vision"}, "network.type cannot be 'vision'"),
        ({"vocabulary": "words"}, "network.vocabulary cannot be 'words'"),
        ({"width": 33}, "not a multiple of"),
        ({"num_heads": 5}, "not a multiple of 20"),
        ({"image_size": 30}, "image_size is 30, not a multiple of 8"),
        ({"image_size": 8192}, "image_size is 8,192"),
        ({"width": 2**20}, "width is 1,048,576"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"labels": []}, "labels is 0"),
        ({"labels": ["circle", "circle"]}, "stands twice"),
        ({"labels": ['6" pipe']}, "needs escaping"),
    ],
)
def test_what_a_spec_cannot_mean_is_refused(change: dict[str, Any], what: str) -> None:
    with pytest.raises(UserError, match=what):
        make({**SMALL, **change})


def test_sizes_that_are_not_the_networks_are_refused() -> None:
    spec = msgspec.structs.replace(brain_spec(parse_network(SMALL)), output_size=7)
    with pytest.raises(UserError, match="input_size and output_size are 3072 and 7"):
        build(spec)


@torch.no_grad()
def test_weights_kept_in_half_precision_are_computed_with_in_single_precision() -> None:
    net = build(brain_spec(parse_network({**SMALL, "stored_as": "float16"})), torch.Generator().manual_seed(0))
    assert {weight.dtype for weight in net.parameters()} == {torch.float16}
    answers = golden_outputs(net, {"images": images(), "tokens": tokens(net)})["logits"]
    assert answers.dtype == torch.float32 and {weight.dtype for weight in net.parameters()} == {torch.float32}
    rounded = make(SMALL)
    for weight in rounded.parameters():
        weight.copy_(weight.half())
    torch.testing.assert_close(answers, golden_outputs(rounded, {"images": images(), "tokens": tokens(net)})["logits"])
