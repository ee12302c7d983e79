import gc
import json
import os
from itertools import chain, repeat

import pytest
import torch

from niwaki.errors import SpecError
from niwaki.measure.latency import LARGEST_BLOCK, Latency, LatencyTable, alone_on_one_cpu, measure_latency


class Clock:
    """Time that passes only when a call says so, in nanoseconds."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now

    def taking(self, *durations, then=0):
        """A callable that lasts each of `durations` in turn, then `then` for ever."""
        left = chain(durations, repeat(then))

        def call():
            self.now += next(left)

        return call


def test_long_call_is_its_own_sample():
    clock = Clock()
    table = measure_latency({"net": clock.taking(then=250_000)}, batch=4, rounds=3, clock=clock)
    assert table.rows == {"net": Latency(250.0, 250.0, 250.0, runs=6, batch=4, block=1)}
    assert table.noise_floor == 0.0


@pytest.mark.parametrize(("nanoseconds", "block"), [(100_000, 1), (99_999, 2), (10_000, 10), (300, 334), (1, 100_000)])
def test_short_calls_are_timed_in_blocks_that_fill_a_sample(nanoseconds, block):
    clock = Clock()
    row = measure_latency({"net": clock.taking(then=nanoseconds)}, batch=1, rounds=1, clock=clock).rows["net"]
    assert (row.block, row.runs) == (block, 2 * block)
    assert row.median_us == pytest.approx(nanoseconds / 1000)


def test_sample_of_a_block_is_its_mean():
    clock = Clock()
    # warm-up 50 µs: blocks of two. Each visit: one call not timed, then a block.
    call = clock.taking(50_000, 9, 40_000, 80_000, 9, 100_000, 200_000)
    row = measure_latency({"net": call}, batch=1, rounds=1, warmup=1, clock=clock).rows["net"]
    assert (row.min_us, row.median_us, row.block) == (60.0, 105.0, 2)


def test_clock_that_stands_still_does_not_run_for_ever():
    row = measure_latency({"net": lambda: None}, batch=1, rounds=1, warmup=1, clock=lambda: 7).rows["net"]
    assert (row.median_us, row.block) == (0.0, LARGEST_BLOCK)


def test_noise_floor_is_the_difference_of_two_series_of_one_callable():
    clock = Clock()
    # series of one sample each, 200 and 300 µs: |200 − 300| / 250
    call = clock.taking(200_000, 1, 200_000, 1, 300_000)
    table = measure_latency({"net": call}, batch=1, rounds=1, warmup=1, clock=clock)
    assert table.noise_floor == pytest.approx(0.4)
    row = table.rows["net"]
    assert (row.min_us, row.median_us, row.p95_us) == (200.0, 250.0, pytest.approx(295.0))


def test_noise_floor_is_that_of_the_noisiest():
    clock = Clock()
    calls = {
        "steady": clock.taking(then=200_000),
        "noisy": clock.taking(200_000, 1, 200_000, 1, 300_000),
    }
    table = measure_latency(calls, batch=1, rounds=1, warmup=1, clock=clock)
    assert table.noise_floor == pytest.approx(0.4)


def test_first_call_of_a_visit_is_not_timed():
    clock = Clock()
    call = clock.taking(*[200_000] * 2, *[900_000, 200_000] * 10)
    table = measure_latency({"net": call}, batch=1, rounds=5, warmup=2, clock=clock)
    assert (table.rows["net"].p95_us, table.rows["net"].runs) == (200.0, 10)


def test_slow_start_is_warmed_away():
    clock = Clock()
    call = clock.taking(9_000_000, 8_000_000, then=50_000)
    row = measure_latency({"net": call}, batch=1, rounds=1, warmup=3, clock=clock).rows["net"]
    assert (row.block, row.p95_us) == (2, 50.0)


def visits_of(rounds):
    clock, order = Clock(), []

    def named(name):
        def call():
            order.append(name)
            clock.now += 100_000

        return call

    measure_latency({name: named(name) for name in "abc"}, batch=1, rounds=rounds, warmup=1, clock=clock)
    visits = order[3::2]  # after the warm-up, every visit is two calls
    return [visits[i : i + 6] for i in range(0, len(visits), 6)]


def test_every_round_visits_all_twice_in_an_order_of_its_own():
    rounds = visits_of(8)
    assert len(rounds) == 8
    assert all(sorted(visits) == list("aabbcc") for visits in rounds)
    assert len({tuple(visits) for visits in rounds}) > 4
    assert rounds == visits_of(8)


def test_budget_ends_the_measurement_after_a_whole_round():
    clock = Clock()
    table = measure_latency(
        {"net": clock.taking(then=10**9), "other": clock.taking(then=10**9)},
        batch=1,
        rounds=100,
        warmup=1,
        budget_s=15,
        clock=clock,
    )
    # warm-up 2 s, a round 8 s: 10 s after the first, 18 s after the second
    assert [row.runs for row in table.rows.values()] == [4, 4]


def test_garbage_collection_is_off_meanwhile_and_on_again_after():
    states = []
    measure_latency({"net": lambda: states.append(gc.isenabled())}, batch=1, rounds=1, clock=lambda: 0)
    assert set(states) == {False}
    assert gc.isenabled()


def test_what_a_callable_raises_goes_through_and_leaves_garbage_collection_as_it_was():
    def fails():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        measure_latency({"net": fails}, batch=1)
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            measure_latency({"net": fails}, batch=1)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_nothing_to_measure():
    with pytest.raises(SpecError, match="nothing to measure: give at least one callable"):
        measure_latency({}, batch=1)


@pytest.mark.parametrize("name", ["rounds", "warmup", "batch"])
def test_numbers_below_one(name):
    with pytest.raises(SpecError, match=f"{name} = 0: give at least 1"):
        measure_latency({"net": lambda: None}, **{"batch": 1, name: 0})


def table_of(noise, **medians):
    return LatencyTable({name: Latency(us, us, us, 10, 1) for name, us in medians.items()}, noise)


def test_rows_differ_only_beyond_the_noise_floor():
    table = table_of(0.125, a=30.0, b=34.0, c=36.0)
    assert not table.differ("a", "b")  # 4 / 32 is the noise floor, not beyond it
    assert table.differ("a", "c")
    assert table.differ("c", "a")
    assert not table.differ("a", "a")


def test_rows_without_time_do_not_differ():
    assert not table_of(0.0, a=0.0, b=0.0).differ("a", "b")


def test_to_dict_is_plain_json():
    values = json.loads(json.dumps(table_of(0.5, a=2.0).to_dict()))
    row = {"median_us": 2.0, "p95_us": 2.0, "min_us": 2.0, "runs": 10, "batch": 1, "block": 1}
    assert values == {"rows": {"a": row}, "noise_floor": 0.5}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system lets no process choose its CPU")
def test_alone_on_one_cpu(two_threads):
    allowed = os.sched_getaffinity(0)
    with alone_on_one_cpu() as pinned:
        assert pinned
        assert os.sched_getaffinity(0) == {max(allowed)}
        assert torch.get_num_threads() == 1
    assert os.sched_getaffinity(0) == allowed
    assert torch.get_num_threads() == 2


def test_alone_is_undone_after_an_error(two_threads):
    with pytest.raises(ZeroDivisionError), alone_on_one_cpu():
        raise ZeroDivisionError
    assert torch.get_num_threads() == 2


def test_system_that_forbids_pinning_is_reported(monkeypatch, two_threads):
    def forbidden(*_args):
        raise PermissionError("sandbox")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    with alone_on_one_cpu() as pinned:
        assert not pinned
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_system_without_pinning_is_reported(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with alone_on_one_cpu() as pinned:
        assert not pinned
