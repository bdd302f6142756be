"""What /metrics tells, over all workers: with PROMETHEUS_MULTIPROC_DIR set, they count in files of that folder."""

import contextlib
import os
from collections.abc import Callable, Iterable
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

from pipeline.serve.cache import RedisCache
from pipeline.serve.settings import METRICS_VARIABLE

MEDIA_TYPE = CONTENT_TYPE_LATEST
# From 10 us, which a small model takes, to the longest time that a request may take.
BUCKETS_MS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)

Reading = tuple[str, str, dict[str, float]]
"""A live metric: its name, what it is, and its value by model; under "" where it is of no model."""


class Metrics:
    """All that is counted. Other rooms of serve add theirs with `counter` and `gauge`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._folder = os.environ.get(METRICS_VARIABLE)
        self.latency = self.histogram("inference_latency_ms", "From a whole request to its answer, in ms.")
        self.preprocessing = self.histogram("preprocessing_latency_ms", "Reading a request, in ms.")
        self.model_time = self.histogram("onnx_latency_ms", "The model's own time a call, in ms, whatever runs it.")
        self.requests = self.counter("inference_requests_total", "Requests by route.", "endpoint")
        self.errors = self.counter("inference_errors_total", "Requests that failed, by kind of problem.", "error_type")
        self.answers = self.counter("model_inference_count_total", "Records that a model answered.")
        self.rows_logged = self.counter("log_rows_total", "Rows in the request log.")
        self.rows_dropped = self.counter("log_rows_dropped_total", "Rows that the request log lacks, by why.", "reason")
        self.active = self.gauge("inference_active_requests", "Requests in flight.", "livesum")
        self.loaded = self.gauge("model_loaded", "Whether every worker has a model.", "livemin")
        self._cache = {
            "hit": self.counter("cache_hits_total", "Answers that were kept."),
            "miss": self.counter("cache_misses_total", "Answers that were looked up and not kept."),
            "failure": self.counter("cache_failures_total", "Times that the Redis did not answer."),
        }
        self._models = {
            "reloaded": self.counter("model_reloads_total", "Models that came to answer after the first."),
            "refused": self.counter("model_reloads_refused_total", "Models that were offered and refused."),
            "unreachable": self.counter("model_source_unreachable_total", "Looks for a model that found no source."),
        }
        self._shadow = self.counter("shadow_answers_total", "What came of requests to the shadow.", "outcome")
        self._redis_bytes: Callable[[], int | None] = lambda: None

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A counter over all workers."""
        return Counter(name, text, labels, registry=self.registry)

    def histogram(self, name: str, text: str) -> Histogram:
        """A histogram of milliseconds over all workers."""
        return Histogram(name, text, registry=self.registry, buckets=BUCKETS_MS)

    def gauge(self, name: str, text: str, mode: str) -> Gauge:
        """A gauge over all workers: ``mode`` "livesum", "livemin", "livemax" or "mostrecent"."""
        return Gauge(name, text, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]  # a Literal

    def cache_event(self, event: Literal["hit", "miss", "failure"]) -> None:
        """Something happened to the cache."""
        self._cache[event].inc()

    def model_event(self, event: Literal["adopted", "reloaded", "refused", "unreachable"]) -> None:
        """Something happened to the models."""
        if event == "adopted":
            self.loaded.set(1)
        else:
            self._models[event].inc()

    def shadow_answer(self, outcome: str) -> None:
        """What came of a request to the shadow."""
        self._shadow.labels(outcome).inc()

    def read_memory(self, cache: object) -> None:
        """Tell how much memory a cache takes where it is a Redis."""
        if isinstance(cache, RedisCache):
            self._redis_bytes = cache.memory_bytes

    def exposed(self, readings: Iterable[Reading] = ()) -> bytes:
        """The text that Prometheus reads; ``readings`` are live metrics, of this moment."""
        registry = self.registry
        if self._folder:
            self._forget_dead(Path(self._folder))
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        live = CollectorRegistry()
        live.register(_Live([*readings, *self._of_the_cache(registry)]))
        return generate_latest(registry) + generate_latest(live)

    def _of_the_cache(self, registry: CollectorRegistry) -> Iterable[Reading]:
        hits, misses = (registry.get_sample_value(f"cache_{name}_total") or 0.0 for name in ("hits", "misses"))
        if hits + misses:
            yield "cache_hit_rate", "Share of the answers that were kept.", {"": hits / (hits + misses)}
        used = self._redis_bytes()
        if used is not None:
            yield "redis_memory_bytes", "Memory that the Redis takes.", {"": float(used)}

    def _forget_dead(self, folder: Path) -> None:
        """A worker that was killed is in flight no more; what it counted stays."""
        for path in folder.glob("gauge_live*_*.db"):
            pid = int(path.stem.rpartition("_")[2])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()


class _Live(Collector):
    def __init__(self, readings: Iterable[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for name, text, values in self._readings:
            family = GaugeMetricFamily(name, text, labels=[] if "" in values else ["model"])
            for model, value in values.items():
                family.add_metric([model] if model else [], value)
            yield family
