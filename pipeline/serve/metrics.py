"""What /metrics tells, over all workers: with PROMETHEUS_MULTIPROC_DIR set, they count in files of that folder."""

import contextlib
import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from pipeline.serve.cache import Event, RedisCache
from pipeline.serve.settings import METRICS_VARIABLE

MEDIA_TYPE = CONTENT_TYPE_LATEST
# From 10 us, which a small model takes, to the longest time that a request may take.
BUCKETS_MS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)

Reading = tuple[str, str, dict[str, float]]
"""A live metric: its name, what it is, and its value by model; under "" where it is of no model."""


class Noted(Histogram):
    """A histogram that notes what it observes, in any thread, and counts it by `count`: alone each takes 3 us."""

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._noted: list[float] = []
        super().__init__(name, text, registry=registry, buckets=BUCKETS_MS)

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:
        """Note a value."""
        self._noted.append(amount)

    def count(self) -> None:
        """Count what was noted."""
        noted = self._noted[:]
        del self._noted[: len(noted)]  # what came meanwhile stays
        if noted:
            self._sum.inc(sum(noted))
            for place, number in Tally(bisect_left(self._upper_bounds, value) for value in noted).items():
                self._buckets[place].inc(number)


class Metrics:
    """All that is counted. ``cache`` is the one that the server keeps answers in, where it has one."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.cache: object = None
        self.latency = Noted("inference_latency_ms", "From a whole request to its answer, in ms.", self.registry)
        self.preprocessing = Noted("preprocessing_latency_ms", "Reading a request, in ms.", self.registry)
        what = "The model's own time a call, in ms, whatever runs it."
        self.model_time = Noted("onnx_latency_ms", what, self.registry)
        self.requests = self._counter("inference_requests_total", "Requests by route.", "endpoint")
        self.errors = self._counter("inference_errors_total", "Requests that failed, by kind of problem.", "error_type")
        self.answers = self._counter("model_inference_count_total", "Records that a model answered.")
        self.rows_logged = self._counter("log_rows_total", "Rows in the request log.")
        self.rows_dropped = self._counter("log_rows_dropped_total", "Rows that the log lacks, by why.", "reason")
        self.shadow = self._counter("shadow_answers_total", "What came of requests to the shadow.", "outcome")
        self.active = self._gauge("inference_active_requests", "Requests in flight.", "livesum")
        self.loaded = self._gauge("model_loaded", "Whether every worker has a model.", "livemin")
        self._cache = {
            "hit": self._counter("cache_hits_total", "Answers that were kept."),
            "miss": self._counter("cache_misses_total", "Answers that were looked up and not kept."),
            "failure": self._counter("cache_failures_total", "Times that the Redis did not answer."),
        }
        self._models = {
            "reloaded": self._counter("model_reloads_total", "Models that came to answer after the first."),
            "refused": self._counter("model_reloads_refused_total", "Models that were offered and refused."),
            "unreachable": self._counter("model_source_unreachable_total", "Looks for a model that found no source."),
        }

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, mode: Literal["livesum", "livemin"]) -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode=mode)

    def cache_event(self, event: Event) -> None:
        """Something happened to the cache."""
        self._cache[event].inc()

    def model_event(self, event: Literal["adopted", "reloaded", "refused", "unreachable"]) -> None:
        """Something happened to the models."""
        if event == "adopted":
            self.loaded.set(1)
        else:
            self._models[event].inc()

    def count(self, num_active: int) -> None:
        """Count what was noted, and how many requests are in flight."""
        self.active.set(num_active)
        for histogram in (self.latency, self.preprocessing, self.model_time):
            histogram.count()

    def exposed(self, readings: Iterable[Reading] = ()) -> bytes:
        """The text that Prometheus reads; ``readings`` are live metrics, of this moment."""
        registry = self.registry
        if folder := os.environ.get(METRICS_VARIABLE):
            _forget_dead(Path(folder))
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        live = CollectorRegistry()
        live.register(_Live([*readings, *self._of_the_cache(registry)]))
        return generate_latest(registry) + generate_latest(live)

    def _of_the_cache(self, registry: CollectorRegistry) -> Iterator[Reading]:
        hits, misses = (registry.get_sample_value(f"cache_{name}_total") or 0.0 for name in ("hits", "misses"))
        if hits + misses:
            yield "cache_hit_rate", "Share of the answers that were kept.", {"": hits / (hits + misses)}
        used = self.cache.memory_bytes() if isinstance(self.cache, RedisCache) else None
        if used is not None:
            yield "redis_memory_bytes", "Memory that the Redis takes.", {"": float(used)}


def _forget_dead(folder: Path) -> None:
    """A worker that was killed is in flight no more; what it counted stays."""
    for path in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(path.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


class _Live(Collector):
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, text, values in self._readings:
            family = GaugeMetricFamily(name, text, labels=[] if "" in values else ["model"])
            for model, value in values.items():
                family.add_metric([model] if model else [], value)
            yield family
