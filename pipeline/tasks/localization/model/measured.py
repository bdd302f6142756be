"""What receivers measured, as arrays: from records and from the simulated world alike. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.rows import Example, Prediction
from pipeline.tasks.localization.world.draw import Batch
from pipeline.tasks.localization.world.propagation import ALTITUDE_M
from pipeline.tasks.localization.world.receivers import SITES

Record = Example | Prediction


@dataclass(frozen=True)
class Measured:
    """B transmissions at R receivers; NaN stands where there is no number.

    places         latitude, longitude, altitude in metres, float64 [B, R, 3]
    heard          bool [B, R]
    level_dbm, arrival_ns, sigma_ns  float64 [B, R]
    frequency_mhz, altitude_m        float64 [B]; of the transmission and the transmitter
    truth          latitude, longitude, float64 [B, 2]
    """

    places: Floats
    heard: NDArray[np.bool_]
    level_dbm: Floats
    arrival_ns: Floats
    sigma_ns: Floats
    frequency_mhz: Floats
    altitude_m: Floats
    truth: Floats

    def __len__(self) -> int:
        return len(self.heard)

    def __getitem__(self, rows: NDArray[np.intp] | slice) -> "Measured":
        return Measured(*(getattr(self, field.name)[rows] for field in fields(self)))


def site_places() -> Floats:
    """Those of the simulated receivers: [R, 3]."""
    return np.array([(site.latitude, site.longitude, site.altitude_m) for site in SITES])


def of_batch(batch: Batch) -> Measured:
    """What the receivers of the simulated world measured."""
    events, times, num = batch.events, batch.times, len(batch.events)
    nothing = np.full(events.heard.shape, np.nan)
    return Measured(
        places=np.broadcast_to(site_places(), (num, len(SITES), 3)),
        heard=events.heard,
        level_dbm=np.where(events.heard, events.level_dbm, np.nan),
        arrival_ns=nothing if times is None else np.where(events.heard, times.arrival_ns, np.nan),
        sigma_ns=nothing if times is None else np.where(events.heard, times.sigma_ns, np.nan),
        frequency_mhz=events.frequency_mhz,
        altitude_m=np.full(num, ALTITUDE_M),
        truth=np.stack([events.latitude, events.longitude], 1),
    )


_NUMBERS = ("latitude", "longitude", "altitude_m", "level_dbm", "arrival_ns", "sigma_ns")


def of_records(records: Sequence[Record], receivers: Sequence[str]) -> Measured:
    """What records say of named receivers, in the order of the names; of others they have nothing to say here."""
    columns = {name: place for place, name in enumerate(receivers)}
    numbers = np.full((len(records), len(receivers), len(_NUMBERS)), np.nan)
    heard = np.zeros(numbers.shape[:2], np.bool_)
    about = np.full((len(records), 4), np.nan)
    for row, record in enumerate(records):
        for one in record.measurements:
            place = columns.get(one.receiver)
            if place is not None:
                heard[row, place] = True
                numbers[row, place] = [_number(getattr(one, name)) for name in _NUMBERS]
        facts = (record.frequency_mhz, record.altitude_m, record.latitude, record.longitude)
        about[row] = [_number(fact) for fact in facts]
    return Measured(
        places=numbers[..., :3],
        heard=heard,
        level_dbm=numbers[..., 3],
        arrival_ns=numbers[..., 4],
        sigma_ns=numbers[..., 5],
        frequency_mhz=about[:, 0],
        altitude_m=about[:, 1],
        truth=about[:, 2:],
    )


def in_slots(records: Sequence[Record], num_slots: int) -> Measured:
    """The same of any receivers: those of each record with the least stated error first, as many as there are slots."""
    names = [str(slot) for slot in range(num_slots)]
    renamed = []
    for record in records:
        best = sorted(record.measurements, key=lambda one: (one.sigma_ns is None, one.sigma_ns))[:num_slots]
        told = tuple(replace(one, receiver=name) for one, name in zip(best, names, strict=False))
        renamed.append(replace(record, measurements=told))
    return of_records(renamed, names)


def _number(value: float | None) -> float:
    return np.nan if value is None else value
