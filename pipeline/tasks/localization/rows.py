"""What the rows of localization say besides the envelopes of `schemas.rows`.

Places are degrees on WGS84, heights metres above its ellipsoid. Local coordinates are metres east and north of a stated
centre. A covariance is (east east, east north, north north), in square metres.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from pipeline.contract.parts import RowsPart
from schemas import rows

Covariance = tuple[float, float, float]
Degrees = tuple[float, float]
"""Latitude and longitude."""


class Measurement(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one receiver measured of one transmission. A receiver that did not hear it has none in the record.

    The place is null where it is not known. ``arrival_ns`` counts from any moment that all receivers of the record
    share; ``sigma_ns`` is the standard deviation that is stated for it. What was not measured is null.
    """

    receiver: str
    latitude: float | None = None
    longitude: float | None = None
    altitude_m: float | None = None
    level_dbm: float | None = None
    arrival_ns: float | None = None
    sigma_ns: float | None = None


class Example(rows.Example, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One transmission as its receivers heard it.

    ``altitude_m`` is the height of the transmitter where it is known. ``kind`` says what the measurements suffer
    ("clean", "one_late_3us"), ``group`` whose transmission it is (a device, an aircraft): data are split by it,
    ``time`` when it was sent, as its source says that.
    ``latitude`` and ``longitude`` are the truth; null where nobody knows it. ``recording`` is a file of IQ samples,
    from which the measurements are made where there are none.
    """

    task: Literal["localization"] = "localization"
    measurements: tuple[Measurement, ...]
    frequency_mhz: float | None = None
    altitude_m: float | None = None
    kind: str = "clean"
    group: str | None = None
    time: str | None = None
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-360, le=360)] | None = None
    recording: str | None = None


class Component(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Gaussian of a mixture. The weights of all components add up to 1."""

    weight: float
    latitude: float
    longitude: float
    covariance_m2: Covariance


class Ellipse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ellipse about a fix that contains the truth with ``probability``.

    ``azimuth_deg`` is the direction of the major axis, clockwise from north, in [0, 180). ``degenerate`` says that
    the covariance has no area or that its axes are equal, so that the azimuth means nothing.
    """

    probability: float
    semi_major_m: float
    semi_minor_m: float
    azimuth_deg: float
    degenerate: bool = False


class Prediction(rows.Prediction, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the model says that the transmitter is, and how sure it is; null where the record has an error.

    ``fix_latitude`` and ``fix_longitude`` are the place with the least expected error (the mean of one Gaussian),
    ``covariance_m2`` the second moments of all components about it, as the ``ellipses`` are drawn; ``components`` is
    empty where the model says one Gaussian. What was measured and the truth are those of the example.
    """

    task: Literal["localization"] = "localization"
    measurements: tuple[Measurement, ...]
    frequency_mhz: float | None = None
    altitude_m: float | None = None
    kind: str = "clean"
    group: str | None = None
    time: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    recording: str | None = None
    fix_latitude: float | None = None
    fix_longitude: float | None = None
    covariance_m2: Covariance | None = None
    components: tuple[Component, ...] = ()
    ellipses: tuple[Ellipse, ...] = ()


def place_of(one: Measurement | Example | Prediction) -> Degrees | None:
    """Where a receiver stands, or where a transmitter truly is; None where nobody knows it."""
    return None if one.latitude is None or one.longitude is None else (one.latitude, one.longitude)


def fix_of(row: Prediction) -> Degrees | None:
    """Where the model says that it is."""
    return None if row.fix_latitude is None or row.fix_longitude is None else (row.fix_latitude, row.fix_longitude)


class Progress(rows.Progress, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of the training: the mean negative log-likelihood of its records, the area in square kilometres."""

    task: Literal["localization"] = "localization"
    loss: float


class Episode(rows.Episode, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the model in training says of a few fixed records: for the live view."""

    task: Literal["localization"] = "localization"
    loss: float
    fixes: tuple[Prediction, ...]


class Monitor(rows.Monitor, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the averaged weights do on fixed records."""

    task: Literal["localization"] = "localization"
    median_error_m: float
    negative_log_likelihood: float


class Score(rows.Score, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a record scored, by subject: the model, or a solver on the same measurements; null where there is none.

    ``negative_log_likelihood`` is in nats, of a density per square kilometre. ``region`` is the least probability
    whose highest-density region contains the truth: uniform on [0, 1] where the uncertainty is honest.
    """

    task: Literal["localization"] = "localization"
    error_m: float | None = None
    negative_log_likelihood: float | None = None
    region: float | None = None


class Metric(rows.Metric, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A metric over records."""

    task: Literal["localization"] = "localization"


class Figure(rows.Figure, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture of the report."""

    task: Literal["localization"] = "localization"


PART = RowsPart(
    types={
        "progress_v1": Progress,
        "episode_v1": Episode,
        "monitor_v1": Monitor,
        "example_v1": Example,
        "prediction_v1": Prediction,
        "score_v1": Score,
        "metric_v1": Metric,
        "figure_v1": Figure,
    }
)
