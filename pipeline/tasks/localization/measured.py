"""What receivers measured, as arrays: from records and from the simulated world alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.stats import Floats
from pipeline.tasks.localization.rows import Example, Measurement, Prediction
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

    def __getitem__(self, rows: Any) -> "Measured":
        return Measured(*(column[rows] for column in vars(self).values()))

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Which receivers have a place: [B, R]."""
        return np.asarray(np.isfinite(self.places).all(-1))

    @property
    def levelled(self) -> NDArray[np.bool_]:
        """Which of them heard it at a level: [B, R]."""
        return self.heard & np.isfinite(self.level_dbm)

    @property
    def timed(self) -> NDArray[np.bool_]:
        """Which of them have a place and a time with its standard deviation: [B, R]."""
        return np.asarray(self.heard & self.placed & np.isfinite(self.arrival_ns) & (self.sigma_ns > 0))


def site_places() -> Floats:
    """Those of the simulated receivers: [R, 3]."""
    return np.array([site[1:] for site in SITES])


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


_numbers = attrgetter("latitude", "longitude", "altitude_m", "level_dbm", "arrival_ns", "sigma_ns")
_about = attrgetter("frequency_mhz", "altitude_m", "latitude", "longitude")


def heard_of(records: Sequence[Record]) -> Measured:
    """What records say of whoever heard each, in the order of the rows. A receiver without a height counts as one on
    the ellipsoid."""
    num = max([1, *(len(record.measurements) for record in records)])  # one at least, where nobody heard anything
    found = _arrays(records, [[*one.measurements, *[None] * num][:num] for one in records], num)
    found.places[..., 2] = np.nan_to_num(found.places[..., 2])
    return found


def of_records(records: Sequence[Record], receivers: Sequence[str]) -> Measured:
    """What records say of named receivers, in the order of the names; of others they have nothing to say here."""
    said = [{one.receiver: one for one in record.measurements} for record in records]
    return _arrays(records, [[own.get(name) for name in receivers] for own in said], len(receivers))


def in_slots(records: Sequence[Record], num_slots: int) -> Measured:
    """The same of any receivers: those of each record with the least stated error first, as many as there are slots."""
    best = [sorted(record.measurements, key=lambda one: (one.sigma_ns is None, one.sigma_ns)) for record in records]
    return _arrays(records, [[*own, *[None] * num_slots][:num_slots] for own in best], num_slots)


def _arrays(records: Sequence[Record], said: Sequence[Sequence[Measurement | None]], num: int) -> Measured:
    """From what each of ``num`` receivers measured, None where it heard nothing. (numpy makes NaN of None.)"""
    nothing = (None,) * 6
    numbers = [[nothing if one is None else _numbers(one) for one in own] for own in said]
    heard = [[one is not None for one in own] for own in said]
    found = np.array(numbers, np.float64).reshape(len(records), num, 6)
    about = np.array([_about(record) for record in records], np.float64).reshape(-1, 4)
    return Measured(
        places=found[..., :3],
        heard=np.array(heard, np.bool_).reshape(len(records), num),
        level_dbm=found[..., 3],
        arrival_ns=found[..., 4],
        sigma_ns=found[..., 5],
        frequency_mhz=about[:, 0],
        altitude_m=about[:, 1],
        truth=about[:, 2:],
    )
