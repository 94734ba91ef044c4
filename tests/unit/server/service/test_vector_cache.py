import numpy as np

from server.service.vector_cache import VectorCache
from server.telemetry.metrics import Metrics

IDS = [np.array([1, number, 2], np.int64) for number in range(4)]
VECTORS = np.arange(16, dtype=np.float32).reshape(4, 4)


def counts(metrics: Metrics) -> tuple[float | None, float | None]:
    value = metrics.registry.get_sample_value
    return value("embedding_cache_hits_total"), value("embedding_cache_misses_total")


def test_what_was_kept_is_found_by_its_ids() -> None:
    metrics = Metrics()
    cache = VectorCache(10, metrics)
    cache.keep(IDS[:2], VECTORS[:2])
    hits = cache.find([IDS[2], IDS[1], IDS[0]])
    assert {position: vector.tolist() for position, vector in hits.items()} == {1: [4, 5, 6, 7], 2: [0, 1, 2, 3]}
    assert counts(metrics) == (2, 1)


def test_the_least_recently_used_goes_first() -> None:
    cache = VectorCache(2, Metrics())
    cache.keep(IDS[:2], VECTORS[:2])
    cache.find([IDS[0]])
    cache.keep([IDS[2]], VECTORS[2:3])
    assert cache.find(IDS).keys() == {0, 2}


def test_a_kept_vector_does_not_change_with_the_answer_it_came_from() -> None:
    cache = VectorCache(2, Metrics())
    answer = VECTORS.copy()
    cache.keep([IDS[0]], answer[:1])
    answer[0] = 0
    assert cache.find([IDS[0]])[0].tolist() == [0, 1, 2, 3]


def test_without_entries_nothing_is_kept_or_counted() -> None:
    metrics = Metrics()
    cache = VectorCache(0, metrics)
    cache.keep(IDS, VECTORS)
    assert cache.find(IDS) == {}
    assert counts(metrics) == (0, 0)
