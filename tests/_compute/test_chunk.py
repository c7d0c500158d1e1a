import pytest

from BayesianJaxModels._compute import items_in_cache, items_in_memory


def test_chunks_fill_the_cache():
    assert items_in_cache(83_000) == 7
    assert items_in_cache(700) == 857
    assert items_in_cache(1) == 1_000
    assert items_in_cache(10**9) == 1


@pytest.mark.parametrize(
    ("stats", "expected"),
    [
        (None, None),
        ({}, None),
        ({"bytes_limit": 64_000}, 2),
        ({"bytes_limit": 64_000, "bytes_in_use": 32_000}, 1),
        ({"bytes_limit": 64_000, "bytes_in_use": 64_000}, 1),
    ],
)
def test_chunks_fill_half_of_the_free_memory(stats, expected):
    class Device:
        def memory_stats(self):
            return stats

    # Half of what is free, for items of 1,000 bytes that take sixteen times as much.
    assert items_in_memory(1_000, Device()) == expected
