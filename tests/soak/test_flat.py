"""The judge of a soak: it must not cry at noise, and must not sleep through a leak."""

from random import Random

import pytest

from bus.committing import CASES_CACHED
from tests.soak.flat import judge
from tests.soak.soak import cached

TIMES = [float(second) for second in range(0, 1200, 5)]
BOUND = 16.0


def noise(chance: Random) -> float:
    """Saw teeth of a garbage collector, and a peak now and then."""
    return chance.uniform(-4, 4) + (60 if chance.random() < 0.05 else 0)


@pytest.mark.parametrize("seed", range(20))
def test_noise_upon_a_level_is_flat(seed: int) -> None:
    chance = Random(seed)
    assert judge("rss", TIMES, [100 + noise(chance) for _ in TIMES], BOUND).flat


@pytest.mark.parametrize("seed", range(20))
def test_caches_that_fill_at_first_are_flat(seed: int) -> None:
    chance = Random(seed)
    assert judge("rss", TIMES, [60 + min(at / 5, 90) + noise(chance) for at in TIMES], BOUND).flat


@pytest.mark.parametrize("seed", range(20))
def test_a_leak_under_noise_is_seen(seed: int) -> None:
    chance = Random(seed)
    leaking = judge("rss", TIMES, [100 + at / 25 + noise(chance) for at in TIMES], BOUND)
    assert not leaking.flat
    assert "GROWS" in str(leaking)


def test_a_handle_a_minute_is_seen() -> None:
    leaking = judge("fds", TIMES, [30 + at // 60 for at in TIMES], 3)
    assert not leaking.flat
    assert leaking.growth == pytest.approx(10, abs=1)


def test_handles_that_come_and_go_are_flat() -> None:
    assert judge("fds", TIMES, [30 + Random(int(at)).randint(0, 12) for at in TIMES], 3).flat


def test_only_what_comes_into_a_cache_may_take_memory() -> None:
    assert cached(range(0, 1_000, 10), CASES_CACHED) == 490
    assert cached(range(0, CASES_CACHED * 3, 10), CASES_CACHED) == 0


def test_too_few_samples_are_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        judge("rss", [0, 1, 2], [1, 1, 1], 1)
