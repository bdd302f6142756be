"""Brain spec to vision-text network: a convolutional image encoder and a causal text decoder with cross-attention."""

import functools
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor, nn

from pipeline.contract.parts import ModelPart
from pipeline.errors import UserError
from pipeline.model import brain
from pipeline.model.layers import Conv, LayerNorm, Linear, initialise
from pipeline.tasks.detection.model.freeze import export_parts
from pipeline.tasks.detection.model.layers import Attention, ConvNorm, Mlp, Residual, channels_last, fourier_features
from pipeline.tasks.detection.model.tokens import NUM_COORDINATES, VOCABULARIES, Vocabulary
from pipeline.tasks.detection.recipe import VisionText
from schemas.brain import BrainSpec


class VisionTextBrain(VisionText, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="vision_text"):
    """`VisionText`, with what scenes and training say of it: the image's side, the classes, the longest text.

    ``stored_as`` is what the weights are in a file; they are widened to float32 before anything is computed.
    """

    image_size: int
    labels: tuple[str, ...]
    max_tokens: int
    stored_as: Literal["float32", "float16"] = "float32"


STRIDE = 8  # pixels of the image a place of the memory stands for, along a side
FINE_STRIDE = 4  # the same of the fine map, on which the dense loss of the training stands
NUM_FEATURES = 64  # Fourier features of a coordinate
MAX_WIDTH, MAX_LAYERS, MAX_IMAGE, MAX_TOKENS, MAX_LABELS = 4096, 64, 1024, 8192, 4096

KeysValues = list[tuple[Tensor, Tensor]]
"""Keys and values [B, H, S, D] of every decoder layer."""


class DenseHead(nn.Module):
    """What lies where on the fine map: classes, and the distances to the four edges of the object there."""

    def __init__(self, channels: int, num_labels: int) -> None:
        super().__init__()
        self.trunk = ConvNorm(channels, channels)
        self.heat, self.distances = Conv(channels, num_labels, 1, gain=0.1), Conv(channels, 4, 1, gain=0.1)

    def forward(self, fine: Tensor) -> tuple[Tensor, Tensor]:
        """[B, C, G, G] -> logits float32 [B, K, G, G] and distances float32 [B, 4, G, G], in places."""
        x = self.trunk(fine)
        # Few places answer for an object; an edge is about two places away.
        return self.heat(x).float() - 3.0, self.distances(x).float() + 2.0


class Encoder(nn.Module):
    """Images to a memory of places.

    Three stages halve the image. The fine map, at twice the resolution of the memory, sees the coarse one again from
    above (Lin et al. 2017, feature pyramids). What the dense head reads from it, classes and boxes, is written back
    into it, the boxes as Fourier features of their coordinates: the text decoder has to choose and to copy, not to
    measure. The memory takes the four fine places below each of its own.
    """

    def __init__(self, width: int, num_blocks: int, num_labels: int) -> None:
        super().__init__()
        small, half = width // 4, width // 2
        self.stem = nn.Sequential(ConvNorm(3, small, stride=2), ConvNorm(small, small))
        self.middle = nn.Sequential(ConvNorm(small, half, stride=2), *(Residual(half) for _ in range(num_blocks)))
        self.coarse = nn.Sequential(ConvNorm(half, width, stride=2), *(Residual(width) for _ in range(num_blocks)))
        self.down = Linear(width, half)
        self.refine = Residual(half)
        self.dense = DenseHead(half, num_labels)
        self.write_back = Linear(4 * NUM_FEATURES + num_labels, half)
        self.gather = Linear(4 * half, width)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """images float32 [B, 3, S, S] -> memory [B, (S / 8)^2, C], what the dense head says (see there)."""
        middle = self.middle(self.stem(images))
        coarse = self.coarse(middle).permute(0, 2, 3, 1)
        above = self.down(coarse).permute(0, 3, 1, 2)
        fine = self.refine(middle + above.repeat_interleave(2, 2).repeat_interleave(2, 3))
        heat, distances = self.dense(fine)
        read = dense_features(heat.detach(), distances.detach())
        told = fine.permute(0, 2, 3, 1) + self.write_back(read)
        batch, side = coarse.shape[0], coarse.shape[1]
        blocks = told.reshape(batch, side, 2, side, 2, -1).transpose(2, 3).reshape(batch, side * side, -1)
        return coarse.reshape(batch, side * side, -1) + self.gather(blocks), (heat, distances)


def dense_features(heat: Tensor, distances: Tensor) -> Tensor:
    """What the dense head says of each place as features float32 [B, G, G, 4 F + K], faint where it sees nothing."""
    side = heat.shape[-1]
    middles = torch.arange(side, device=heat.device, dtype=torch.float32) + 0.5
    left, top, right, bottom = distances.unbind(1)
    x, y = middles, middles.unsqueeze(1)
    edges = torch.stack((x - left, y - top, x + right, y + bottom), -1) / side
    features = fourier_features(NUM_FEATURES, edges.clamp(0.0, 1.0)).flatten(-2)
    chances = torch.sigmoid(heat).permute(0, 2, 3, 1)
    return torch.cat((features * chances.sum(-1, keepdim=True).clamp(max=1.0), chances), -1)


class EncoderLayer(nn.Module):
    """Self-attention among the places of the image, and a perceptron."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = LayerNorm(width), LayerNorm(width)
        self.attention, self.mlp = Attention(width, num_heads), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attention_norm(x)
        x = x + self.attention(y, *self.attention.remember(y))
        z: Tensor = x + self.mlp(self.mlp_norm(x))
        return z


class DecoderLayer(nn.Module):
    """Attention to the text so far, attention to the image, and a perceptron, each after a norm."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.text_norm, self.image_norm, self.mlp_norm = LayerNorm(width), LayerNorm(width), LayerNorm(width)
        self.text, self.image = Attention(width, num_heads), Attention(width, num_heads)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, image: tuple[Tensor, Tensor], causal: Tensor) -> Tensor:
        """Whole texts x [B, T, C]; ``causal`` [T, T] is -inf above the diagonal."""
        y = self.text_norm(x)
        x = x + self.text(y, *self.text.remember(y), causal)
        return self.finish(x, image)

    def advance(self, x: Tensor, image: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor], at: int) -> Tensor:
        """The token at position ``at``, x [B, 1, C]; its keys and values are added to ``past`` [B, H, T, D]."""
        y = self.text_norm(x)
        for cache, new in zip(past, self.text.remember(y), strict=True):
            cache[:, :, at : at + 1] = new
        keys, values = (cache[:, :, : at + 1] for cache in past)
        return self.finish(x + self.text(y, keys, values), image)

    def finish(self, x: Tensor, image: tuple[Tensor, Tensor]) -> Tensor:
        """Everything after the attention to the text."""
        x = x + self.image(self.image_norm(x), *image)
        y: Tensor = x + self.mlp(self.mlp_norm(x))
        return y


class VisionTextNetwork(nn.Module):
    """Images and the tokens so far to the logits of the next token."""

    def __init__(self, network: VisionTextBrain) -> None:
        super().__init__()
        width = network.width
        self.config = network
        self.vocabulary: Vocabulary = VOCABULARIES[network.vocabulary](labels=network.labels)
        self.num_pieces = self.vocabulary.first_coordinate
        self.encoder = Encoder(width, network.num_blocks, len(network.labels))
        self.place = Linear(2 * NUM_FEATURES, width, bias=False)
        num_layers = range(network.num_encoder_layers)
        self.encoder_layers = nn.ModuleList(EncoderLayer(width, network.num_heads) for _ in num_layers)
        self.memory_norm = LayerNorm(width)
        self.layers = nn.ModuleList(DecoderLayer(width, network.num_heads) for _ in range(network.num_layers))
        self.piece_table = nn.Parameter(torch.empty(self.num_pieces, width))
        self.order_table = nn.Parameter(torch.empty(network.max_tokens, width))
        self.out_norm = LayerNorm(width)
        self.piece_out = Linear(width, self.num_pieces, gain=0.3)
        if self.vocabulary.num_coordinates:
            self.coordinate_in = Linear(NUM_FEATURES, width)
            self.coordinate_out = Linear(width, NUM_FEATURES, gain=0.2)

    def encode(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """images uint8 [B, S, S, 3] -> memory [B, N, C] with its places added, what the dense head says."""
        if self.piece_table.dtype != torch.float32:
            self.float()
        x = images.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)
        memory, dense = self.encoder((x - 127.5) / 64.0)
        memory = memory + self.place(_place_features(self.config.image_size, images.device))
        for layer in self.encoder_layers:
            memory = layer(memory)
        return self.memory_norm(memory), dense

    def remember(self, memory: Tensor) -> KeysValues:
        """What every decoder layer keeps of the image."""
        return [layer.image.remember(memory) for layer in self.layers]  # type: ignore[union-attr,operator]

    def embed(self, tokens: Tensor, at: int = 0, jitter: Tensor | None = None) -> Tensor:
        """tokens int64 [B, T], the first at position ``at`` -> [B, T, C].

        ``jitter`` float32 [B, T] moves coordinates (in thousandths of the image), so that a training does not trust
        them to the last digit.
        """
        order = self.order_table[at : at + tokens.shape[1]]
        if not self.vocabulary.num_coordinates:
            return nn.functional.embedding(tokens, self.piece_table) + order
        values = (tokens - self.num_pieces).clamp(min=0)
        if jitter is None:
            features = _coordinate_features(tokens.device)[values]
        else:
            moved = (values + jitter).clamp(0, NUM_COORDINATES - 1)
            features = fourier_features(NUM_FEATURES, moved / NUM_COORDINATES)
        pieces = nn.functional.embedding(tokens.clamp(max=self.num_pieces - 1), self.piece_table)
        is_piece = (tokens < self.num_pieces).unsqueeze(-1)
        return torch.where(is_piece, pieces, self.coordinate_in(features).to(pieces.dtype)) + order

    def forward(self, tokens: Tensor, image: KeysValues, jitter: Tensor | None = None) -> Tensor:
        """Whole texts: tokens int64 [B, T] -> states [B, T, C], for `logits`; a token sees those up to itself."""
        num = tokens.shape[1]
        causal = torch.full((num, num), -torch.inf, device=tokens.device).triu_(1)
        x = self.embed(tokens, 0, jitter)
        for layer, keys_values in zip(self.layers, image, strict=True):
            x = layer(x, keys_values, causal)
        return x

    def start(self, batch_size: int) -> KeysValues:
        """An empty cache for texts of up to ``max_tokens``."""
        shape = (batch_size, self.config.num_heads, self.config.max_tokens, self.config.width // self.config.num_heads)
        device = self.piece_table.device
        return [(torch.zeros(shape, device=device), torch.zeros(shape, device=device)) for _ in self.layers]

    def advance(self, tokens: Tensor, image: KeysValues, cache: KeysValues, at: int) -> Tensor:
        """The tokens int64 [B] at position ``at`` -> logits [B, V] of the next; ``cache`` grows."""
        x = self.embed(tokens.unsqueeze(1), at)
        for layer, keys_values, past in zip(self.layers, image, cache, strict=True):
            x = layer.advance(x, keys_values, past, at)  # type: ignore[operator]  # torch types it as a Tensor
        return self.logits(x.squeeze(1))

    def logits(self, states: Tensor) -> Tensor:
        """[..., C] -> [..., V]."""
        states = self.out_norm(states)
        pieces: Tensor = self.piece_out(states)
        if not self.vocabulary.num_coordinates:
            return pieces
        table = _coordinate_features(states.device).to(states.dtype)
        coordinates = torch.matmul(self.coordinate_out(states), table.t())
        return torch.cat((pieces, coordinates.to(pieces.dtype)), -1)


@functools.cache
def _coordinate_features(device: torch.device) -> Tensor:
    """Fourier features of all coordinates, float32 [1000, F]."""
    with torch.inference_mode(False):  # what is made in it cannot be learned from
        return fourier_features(NUM_FEATURES, torch.arange(NUM_COORDINATES, device=device) / NUM_COORDINATES)


@functools.cache
def _place_features(image_size: int, device: torch.device) -> Tensor:
    """Fourier features of the middles of the memory's places, x then y: float32 [N, 2 F], row by row."""
    side = image_size // STRIDE
    with torch.inference_mode(False):
        features = fourier_features(NUM_FEATURES, (torch.arange(side, device=device) + 0.5) / side)
        return torch.cat((features.repeat(side, 1), features.repeat_interleave(side, 0)), -1)


def parse_network(data: Mapping[str, Any]) -> VisionTextBrain:
    """The network section of a brain spec as its Struct, every default filled in.

    Raises UserError that names the wrong key or value, and the nearest known one.
    """
    network: VisionTextBrain = brain.parse_network(data, VisionTextBrain, "detection")
    return network


def check(spec: BrainSpec, network: VisionTextBrain) -> None:
    """Raises UserError when the parts of a spec do not fit together, or are out of all proportion."""
    limits = {
        "width": (network.width, MAX_WIDTH),
        "num_layers": (network.num_layers, MAX_LAYERS),
        "num_encoder_layers": (network.num_encoder_layers + 1, MAX_LAYERS),
        "num_blocks": (network.num_blocks + 1, MAX_LAYERS),
        "image_size": (network.image_size, MAX_IMAGE),
        "max_tokens": (network.max_tokens, MAX_TOKENS),
        "labels": (len(network.labels), MAX_LABELS),
    }
    for name, (found, most) in limits.items():
        if not 1 <= found <= most:
            raise UserError(f"{name} is {found:,}, but it is from 1 to {most:,}", where=f"brain spec: network.{name}")
    for name, value, step in (
        ("width", network.width, 4 * network.num_heads),
        ("width", network.width, 32),
        ("image_size", network.image_size, STRIDE),
    ):
        if value % step:
            raise UserError(f"{name} is {value}, not a multiple of {step}", where=f"brain spec: network.{name}")
    odd = [label for label in network.labels if not label or not label.isprintable() or '"' in label or "\\" in label]
    if odd or len(set(network.labels)) != len(network.labels):
        what = f"a label is empty, needs escaping in JSON, or stands twice: {odd[:3] or list(network.labels)[:9]}"
        raise UserError(what, where="brain spec: network.labels")
    sizes = (3 * network.image_size**2, VOCABULARIES[network.vocabulary](labels=network.labels).size)
    if (spec.input_size, spec.output_size) != sizes:
        what = f"input_size and output_size are {spec.input_size} and {spec.output_size}, the network has {sizes}"
        raise UserError(what, where="brain spec: input_size, output_size")


def brain_spec(network: VisionTextBrain) -> BrainSpec:
    """The spec of a network; inputs are numbers of an image (S * S * 3), outputs tokens."""
    return BrainSpec(
        task="detection",
        input_size=3 * network.image_size**2,
        output_size=VOCABULARIES[network.vocabulary](labels=network.labels).size,
        network=msgspec.to_builtins(network),
    )


def build(spec: BrainSpec, generator: torch.Generator | None = None) -> VisionTextNetwork:
    """The network of a brain spec, its weights drawn from ``generator`` (None: from torch's global one).

    On the meta device (`with torch.device("meta")`) nothing is drawn: that is for weights to be loaded into.
    Raises UserError when the spec is not valid.
    """
    network = parse_network(spec.network)
    check(spec, network)
    module = VisionTextNetwork(network)
    if next(module.parameters()).device.type != "meta":
        initialise(module, generator)
        channels_last(module)
    return module.half() if network.stored_as == "float16" else module


@torch.inference_mode()
def golden_outputs(module: nn.Module, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The logits [B, T, V] that the network gives to golden inputs: images uint8 [B, S, S, 3], tokens int64 [B, T]."""
    assert isinstance(module, VisionTextNetwork)
    memory, _ = module.encode(inputs["images"])
    return {"logits": module.logits(module(inputs["tokens"], module.remember(memory)))}


PART = ModelPart(network=VisionTextBrain, build=build, export_parts=export_parts, golden_outputs=golden_outputs)
