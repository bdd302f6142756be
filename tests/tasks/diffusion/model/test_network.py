"""The network of a brain spec: preconditioning, layers by name, and that every field changes what is built."""

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.model.brain import read_brain
from pipeline.tasks.diffusion.model.denoiser import recorded, replaced
from pipeline.tasks.diffusion.model.network import OwnDenoiser, brain_spec, build
from tests.tasks.diffusion.small_model import small_brain, small_network


def test_before_it_has_learned_it_says_what_preconditioning_alone_says() -> None:
    network = build(brain_spec(small_brain()), torch.Generator().manual_seed(0))
    x, sigma = torch.randn(2, 1, 8, 8), torch.tensor([0.1, 2.0])
    said = network.denoise(x, sigma, torch.tensor([0, 3]))
    expected = x * (0.25 / (0.25 + sigma**2))[:, None, None, None]
    assert torch.allclose(said, expected)


def test_it_looks_at_the_noise_level_and_at_the_class() -> None:
    network = small_network()
    x = torch.ones(1, 1, 8, 8)
    label, one = torch.tensor([0]), torch.tensor([1.0])
    said = network.denoise(x, one, label)
    assert not torch.allclose(said, network.denoise(x, one, torch.tensor([1])))
    assert not torch.allclose(network.unet(x, one, label), network.unet(x, 2 * one, label))


@pytest.mark.parametrize(
    "change",
    [{"width": 16}, {"multipliers": (1, 2, 2)}, {"num_blocks": 2}, {"attention": False}, {"channels": 3},
     {"labels": ("a", "b")}, {"num_train": 21}],
)  # fmt: skip
def test_every_field_changes_what_is_built(change: dict[str, object]) -> None:
    def shapes(**changes: object) -> dict[str, torch.Size]:
        network = build(brain_spec(small_brain(**changes)), torch.Generator())
        return {name: tensor.shape for name, tensor in network.state_dict().items()}

    assert shapes() != shapes(**change)


def test_the_same_seed_gives_the_same_weights() -> None:
    spec = brain_spec(small_brain())
    one, same, other = (build(spec, torch.Generator().manual_seed(seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["unet.stem.weight"], other["unet.stem.weight"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"multipliers": (1, 2, 2, 2, 2)}, "cannot be halved 4 times"),
        ({"width": 2048}, "width is"),
        ({"labels": ()}, "labels"),
    ],
)
def test_a_spec_that_fits_no_network_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        brain_spec(small_brain(**change))


def test_a_brain_spec_of_a_file_is_checked_by_name() -> None:
    spec = {"task": "diffusion", "input_size": 64, "output_size": 64, "network": {"type": "unet", "widht": 8}}
    with pytest.raises(UserError, match="widht"):
        read_brain(spec)


def test_layers_are_recorded_and_replaced_by_name() -> None:
    denoiser = OwnDenoiser(small_network())
    assert list(denoiser.layers) == ["stem", "down_0", "down_1", "middle", "up_1", "up_0"]
    x, labels = torch.randn(2, 1, 8, 8), torch.tensor([0, 1])
    with recorded(denoiser, ("middle", "up_0")) as before:
        plain = denoiser.forward(x, 1.0, labels)
    assert before["middle"].shape == (2, 16, 4, 4) and before["up_0"].shape == (2, 8, 8, 8)
    with replaced(denoiser, {"middle": torch.zeros(1, 16, 4, 4)}), recorded(denoiser, ("middle",)) as after:
        changed = denoiser.forward(x, 1.0, labels)
    assert not torch.allclose(plain, changed)
    assert float(after["middle"].abs().max()) == 0.0
    assert torch.equal(denoiser.forward(x, 1.0, labels), plain)  # nothing is left hooked


def test_the_nearest_training_image_of_one_is_itself() -> None:
    memory = small_network().training_images
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1
    for number in (0, 7, 19):
        found, distance = memory.nearest(images[number])
        assert found == number and distance == pytest.approx(0.0, abs=1e-3)
    assert memory.nearest(images[3] + 0.02)[0] == 3
    assert memory.nearest(torch.zeros(1, 8, 8))[1] > 0.1
    assert np.isfinite(memory.components.numpy()).all()
