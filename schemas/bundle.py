"""``bundle.json``: what a folder of recorded activations holds, for `baton explore`.

A bundle is a folder of files that never change. Beside this manifest, which is written last:

    records.jsonl                 a line a record, in the order of the arrays
    images.npy                    uint8 [N, height, width, channels]
    activations-LAYER.npy         float16 or float32 [N, num_noise_levels, num_features]
    coordinates-LAYER.npy         float32 [N, num_noise_levels, 2], of one map for all noise levels
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from schemas.rows import Row

Accuracy = Annotated[float, Meta(ge=0, le=1)]


class Record(Row, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was shown to the model: its class, and what else is known of it."""

    schema: Literal["record_v1"] = "record_v1"
    label: str
    facts: dict[str, str | int | float] = field(default_factory=dict)


class Layer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layer of the model. ``activations`` and ``coordinates`` are names of files.

    ``probes`` says what the layer knows: the held-out accuracy of a classifier of its activations, a value a noise
    level, by what it had to tell ("class", or a fact of the records).
    """

    name: str
    num_features: int
    activations: str
    coordinates: str
    probes: dict[str, tuple[Accuracy, ...]] = field(default_factory=dict)


class Curve(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A finding that is drawn beside the form: lines of (x, y), by name. ``field`` is the field of the form that is x,
    and ``line_field``, if there is one, that whose value is the name of a line."""

    title: str
    x_label: str
    y_label: str
    lines: dict[str, tuple[tuple[float, float], ...]]
    field: str | None = None
    line_field: str | None = None


class BundleManifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a bundle. ``weights_hash`` is that of the model (64 digits), ``title`` what people call it.

    ``noise_levels`` fall from the highest. ``conditioning`` says what the model was told of the class meanwhile.
    ``files`` are the sha256 of all files by name.
    """

    schema: Literal["bundle_v1"] = "bundle_v1"
    task: str
    title: str
    weights_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    conditioning: str
    num_records: Annotated[int, Meta(ge=1)]
    image_shape: tuple[int, int, Literal[1, 3]]
    classes: Annotated[tuple[str, ...], Meta(min_length=1)]
    noise_levels: Annotated[tuple[float, ...], Meta(min_length=1)]
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1)]
    curves: tuple[Curve, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
