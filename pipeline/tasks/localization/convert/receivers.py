"""Where receivers stand: from a CSV file, or from points of a GeoJSON file."""

from pathlib import Path
from typing import NamedTuple

from pipeline.records.findings import Findings, Wrong
from pipeline.tasks.localization.convert import geojson_read
from pipeline.tasks.localization.convert.table import open_table, optional_number, place
from pipeline.tasks.localization.rows import Measurement


class Site(NamedTuple):
    """The place of a receiver: degrees on WGS84, and metres above its ellipsoid where that is known."""

    latitude: float
    longitude: float
    altitude_m: float | None


Sites = dict[str, Site]


def read_sites(path: Path, findings: Findings, name: str = "receiver", altitude: str = "altitude_m") -> Sites:
    """The receivers of a file by name: CSV with the columns ``name``, latitude, longitude and, where there is one,
    ``altitude``; or GeoJSON. Raises UserError."""
    if path.suffix.lower() in (".geojson", ".json"):
        found = geojson_read.read_receivers(path, findings)
        return {one.receiver: site for one in found if (site := _site_of(one)) is not None}
    table = open_table(path)
    named, latitude, longitude = (table.column(one, "its header") for one in (name, "latitude", "longitude"))
    height = table.column(altitude, "its header") if altitude in map(str.lower, table.columns) else None
    sites: Sites = {}
    for at, row in table.rows(findings):
        with findings.at(at, row[named]):
            where = place(row, latitude, longitude)
            if where is None:
                raise Wrong("no_place", "the receiver has no place")
            if row[named] in sites:
                raise Wrong("id_twice", f"the receiver {row[named]!r} stands more than once")
            sites[row[named]] = Site(*where, optional_number(row, height))
    return sites


def _site_of(one: Measurement) -> Site | None:
    if one.latitude is None or one.longitude is None:
        return None
    return Site(one.latitude, one.longitude, one.altitude_m)
