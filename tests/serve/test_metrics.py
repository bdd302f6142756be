from prometheus_client import CollectorRegistry, Histogram, generate_latest

from pipeline.serve.metrics import BUCKETS_MS, Noted


def test_what_was_noted_is_counted_as_if_it_had_been_observed_one_by_one() -> None:
    values = [0.0, 0.01, 0.011, 3.0, 3.5, 10000.0, 12345.0]
    noted, plain = CollectorRegistry(), CollectorRegistry()
    together = Noted("took_ms", "Time.", noted)
    one_by_one = Histogram("took_ms", "Time.", registry=plain, buckets=BUCKETS_MS)
    for value in values:
        together.observe(value)
        one_by_one.observe(value)
    assert noted.get_sample_value("took_ms_count") == 0
    together.count()
    together.count()

    def counted(registry: CollectorRegistry) -> list[bytes]:
        return [line for line in generate_latest(registry).splitlines() if b"_created" not in line]

    assert counted(noted) == counted(plain)
