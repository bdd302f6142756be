"""What who explores waits for, in a real browser: first paint, hover, zoom, neighbours; beside a plotly figure that is
sent anew, and neighbours that are looked for on the map."""

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

from benchmarks.explore.figure import plotly_redraws_ms
from benchmarks.harness import Claim, Report, Samples, at_most
from pipeline.errors import UserError
from pipeline.explore.bundle import IMAGES, Bundle, BundleWriter
from pipeline.explore.neighbours import Space
from schemas.bundle import BundleManifest, Layer, Record
from tests.explore.serving import serving
from tests.support.browser import Page, find_browser, open_browser

_MANY, _MORE, _LEVELS, _FEATURES, _SIDE = 10_000, 100_000, (8.0, 2.0, 0.5, 0.1), 512, 28
_CLASSES, _COUNT = 10, 8
_FRAME = "await new Promise(requestAnimationFrame)"
_READY = """new Promise((done) => { const look = () =>
  panes[0]?.cloud.xs ? done(performance.now()) : requestAnimationFrame(look); look(); })"""
_HOVER = """(async () => {{ const box = panes[0].over.getBoundingClientRect(), cloud = panes[0].cloud;
  const [x, y] = cloud.pixel({point}), start = performance.now();
  panes[0].over.dispatchEvent(new PointerEvent('pointermove', {{ clientX: box.x + x / cloud.ratio,
    clientY: box.y + y / cloud.ratio }})); const took = performance.now() - start; {frame}; return took; }})()"""
_SUGGEST = """(async () => {{ clearChoice(); chooseRecord(here().ids[{number}], {level});
  const start = performance.now(); await suggest(); return performance.now() - start; }})()"""
_ZOOM = """(() => { const cloud = panes[0].cloud, start = performance.now(); cloud.zoomAt(300, 200, 1.03); cloud.draw();
  return performance.now() - start; })()"""


def run(quick: bool) -> Report:
    """A page with 10,000 records and one with 100,000; then the peers."""
    rounds = 5 if quick else 40
    program = find_browser()
    if program is None:
        raise UserError("there is no browser to measure in", remedy="apt-get install chromium")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        many = write_bundle(folder / "many", _MANY, _LEVELS, _FEATURES)
        more = write_bundle(folder / "more", _MORE, _LEVELS[-1:], 8)
        with open_browser(program) as page:
            page.size(1280, 900)
            seen = {**_with_many(page, folder, many, rounds), **_with_more(page, folder, more, rounds)}
            plotly = plotly_redraws_ms(page, folder, np.asarray(many.coordinates["middle"][:, -1]), rounds)
        on_map, agreement = _neighbours_on_the_map(many, rounds)
        return _report(seen, plotly, on_map, agreement)


def _report(seen: dict[str, list[float]], plotly: list[float], on_map: list[float], agreement: float) -> Report:
    samples = [Samples(name, "ms", tuple(values)) for name, values in seen.items() if not name.startswith("requests")]
    if plotly:
        samples.append(Samples("a plotly figure of 10,000 sent anew and drawn", "ms", tuple(plotly)))
    samples.append(Samples("neighbours on the map, the index built anew", "ms", tuple(on_map)))
    return Report(
        title="what who explores waits for, in Chromium",
        method=(
            f"The page on a server of this machine: {_MANY:,} records, {_FEATURES} features, {len(_LEVELS)} levels; "
            f"and {_MORE:,} records. Times are taken in the page: neighbours from the press to the drawn rings, the "
            "request included; hover and zoom until all is drawn."
        ),
        samples=samples,
        claims=list(_claims(seen, plotly)),
        notes=(f"Of {_COUNT} neighbours on the map, {agreement:.0%} are neighbours in the space of activations.",),
    )


def _claims(seen: dict[str, list[float]], plotly: Sequence[float]) -> Iterator[Claim]:
    limits = {
        "press to neighbours drawn, 10,000": 50,
        "hover, 10,000": 20,
        "zoom, 10,000": 10,
        "zoom, 100,000": 70,
        "first paint, 10,000": 2000,
        "requests while hovering": 0,
    }
    for name, limit in limits.items():
        yield at_most(name, seen[name], limit, "" if name.startswith("requests") else "ms")
    if plotly:
        ratios = [one / statistics.median(seen["press to neighbours drawn, 10,000"]) for one in plotly]
        value = statistics.median(ratios)
        yield Claim("a plotly figure, over ours", value, min(ratios), max(ratios), "x", ">= 1", value >= 1)


def _with_many(page: Page, folder: Path, bundle: Bundle, rounds: int) -> dict[str, list[float]]:
    numbers = np.random.default_rng(0).integers(len(bundle.records), size=rounds).tolist()
    paints = []
    with serving(folder / "kept-many", bundle, has_models=False) as served:
        for _ in range(max(rounds // 5, 3)):
            page.go(served.url)
            paints.append(page.run(_READY))
        page.wait("here().sheets.get(0).complete && link.isOpen")
        page.requests.clear()
        level = len(_LEVELS) - 1
        points = [number * len(_LEVELS) + level for number in numbers]
        hovers = [page.run(_HOVER.format(point=point, frame=_FRAME)) for point in points]
        num_requests = float(len(page.requests))
        found = {
            "first paint, 10,000": paints,
            "hover, 10,000": hovers,
            "requests while hovering": [num_requests],
            "press to neighbours drawn, 10,000": [
                page.run(_SUGGEST.format(number=number, level=level)) for number in numbers
            ],
            "zoom, 10,000": [page.run(_ZOOM) for _ in numbers],
        }
        page.go("data:text/html,gone")
    return found


def _with_more(page: Page, folder: Path, bundle: Bundle, rounds: int) -> dict[str, list[float]]:
    with serving(folder / "kept-more", bundle, has_models=False) as served:
        page.go(served.url)
        page.run(_READY)
        zooms = [page.run(_ZOOM) for _ in range(rounds)]
        page.go("data:text/html,gone")
    return {"zoom, 100,000": zooms}


def _neighbours_on_the_map(bundle: Bundle, rounds: int) -> tuple[list[float], float]:
    """Looking for neighbours among coordinates instead: milliseconds, and the share that are neighbours in truth."""
    places, took, shares = np.asarray(bundle.coordinates["middle"][:, -1]), [], []
    space = Space(bundle.activations["middle"], len(_LEVELS) - 1)
    for number in range(rounds):
        start = time.perf_counter()
        index = NearestNeighbors(n_neighbors=_COUNT + 1).fit(places)
        found = index.kneighbors(places[number : number + 1], return_distance=False)[0]
        took.append(1000 * (time.perf_counter() - start))
        true = {one.number for one in space.nearest(number, _COUNT)}
        shares.append(len(true & {*found.tolist()}) / _COUNT)
    return took, statistics.mean(shares)


def write_bundle(folder: Path, num: int, levels: tuple[float, ...], num_features: int) -> Bundle:
    """Clouds of ``_CLASSES`` classes in a space of many features, whose first two are the map."""
    rng, writer = np.random.default_rng(0), BundleWriter(folder)
    numbers = np.arange(num) % _CLASSES
    centres = rng.normal(0, 2, (_CLASSES, num_features)).astype(np.float32)
    writer.array(IMAGES, (num, _SIDE, _SIDE, 1), np.uint8)[:] = rng.integers(0, 255, (num, _SIDE, _SIDE, 1), np.uint8)
    names = {kind: f"{kind}-middle.npy" for kind in ("activations", "coordinates")}
    activations = writer.array(names["activations"], (num, len(levels), num_features), np.float16)
    for start in range(0, num, 2000):
        part = numbers[start : start + 2000]
        noise = rng.standard_normal((len(part), len(levels), num_features), np.float32)
        activations[start : start + 2000] = centres[part][:, None] + noise
    writer.array(names["coordinates"], (num, len(levels), 2), np.float32)[:] = activations[..., :2]
    layer = Layer(name="middle", num_features=num_features, probes={"class": (0.9,) * len(levels)}, **names)
    manifest = BundleManifest(
        task="toy",
        title="clouds",
        weights_hash="0" * 64,
        conditioning="null",
        num_records=num,
        image_shape=(_SIDE, _SIDE, 1),
        classes=tuple(map(str, range(_CLASSES))),
        noise_levels=levels,
        layers=(layer,),
    )
    records = (Record(task="toy", id=f"r{number:06d}", label=str(numbers[number])) for number in range(num))
    return writer.finish(manifest, records)
