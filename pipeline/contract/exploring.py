"""What wandering through a model's activations asks of a task: a generator that is asked with a form. No torch here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from pipeline.contract.parts import Part
from schemas.bundle import BundleManifest, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Place = tuple[float, float]


class OpenedBundle(Protocol):
    """A bundle as it is handed to a task: its records, and what was recorded of them, memory-mapped.

    ``activations`` are [N, num_noise_levels, num_features] by layer, ``coordinates`` [N, num_noise_levels, 2].
    """

    @property
    def manifest(self) -> BundleManifest: ...
    @property
    def records(self) -> Sequence[Record]: ...
    @property
    def activations(self) -> "Mapping[str, NDArray[np.floating[Any]]]": ...
    @property
    def coordinates(self) -> "Mapping[str, NDArray[np.float32]]": ...
    def number(self, id: str) -> int:
        """The place of a record in the arrays. Raises UserError."""
        ...


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen on the map when something was asked for: ids of records (the selected one first), a layer."""

    references: tuple[str, ...] = ()
    layer: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """A moment of a generation. ``image`` is what the model takes the ``noised`` one for, uint8 [H, W, C] both.

    ``places`` are its places on the maps of layers, before anything was put in for its activations; ``masked_places``
    those after, where something was.
    """

    number: int
    num_steps: int
    noise_level: float
    image: "NDArray[np.uint8]"
    noised: "NDArray[np.uint8] | None" = None
    places: Mapping[str, Place] = field(default_factory=dict)
    masked_places: Mapping[str, Place] = field(default_factory=dict)


class Cancelled(Exception):
    """A generation ended because it was told to."""


class Explorer(Protocol):
    """A model that generates, one request at a time."""

    def generate(self, request: Any, on_step: Callable[[Step], None], should_cancel: Callable[[], bool]) -> Any:
        """The prediction of a request, the same as that of infer; each step is told as it comes.

        Raises Cancelled soon after ``should_cancel()`` says so, and UserError when it cannot be done.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ExplorePart(Part):
    """A task whose model generates; optional. ``example`` is the type of its example row.

    ``form`` are the fields that a page may set, with their types, ranges, titles and defaults (`msgspec.Meta`);
    ``class_field`` and ``seed_field`` are those that are the class, a text or null, and the seed. ``request(form,
    choice, id)`` is the example that is asked; it raises UserError where they do not go together. ``open(model, bundle,
    device)`` opens a model file. ``picture(prediction)`` is the image that was made (uint8 [H, W, C], None where none
    was), ``reasons`` says in words what its error codes mean, ``facts(prediction)`` are names and values that are shown
    with it, and ``steps(prediction)`` the way to it as far as the row tells it: those of a model on another machine
    come from there. ``record(run, model, folder)``, optional, writes a bundle into ``folder`` from what infer left in
    the folder ``run``.
    """

    HOMES = ("explore.part", "explore")
    example: type[Any]
    form: type[Struct]
    class_field: str
    seed_field: str
    request: Callable[[Any, Choice, str], Any]
    open: Callable[[Path, OpenedBundle, str], Explorer]
    picture: "Callable[[Any], NDArray[np.uint8] | None]"
    reasons: Mapping[str, str] = field(default_factory=dict)
    facts: Callable[[Any], Sequence[tuple[str, str]]] = lambda prediction: ()
    steps: Callable[[Any], Sequence[Step]] = lambda prediction: ()
    record: Callable[[Path, Path, Path], object] | None = None
