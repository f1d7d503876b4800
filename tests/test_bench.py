"""The benchmark at its smallest: it runs, and everything it measures gives the same answers."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import cases
from bench.measuring import Measured
from bench.world import LAST_DAY, Size, World

SMALLEST = Size(events=20_000, accounts=40, months=4, periods=1_500)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> cases.Bench:
    root = tmp_path_factory.mktemp("bench")
    world = World(root / "worlds", SMALLEST)
    return cases.Bench(root, world, runs=1, peers=["duckdb", "pandas"], say=print)


def test_an_extraction_finds_the_rows_that_a_plain_copy_finds(bench: cases.Bench) -> None:
    cases.extraction(bench)
    ours, _, dirty = (m.answer for m in bench.measured if m.name.startswith("extraction"))
    assert ours["rejected"] == 0 < dirty["rejected"]


def test_the_rollup_is_that_of_plain_duckdb_and_pandas(bench: cases.Bench) -> None:
    data_dir = bench.folder("rollup")
    bench.world.land(data_dir, events={LAST_DAY: bench.world.clean_events()})
    cases.rollup(bench, data_dir)


def test_bridge_and_cohorts_are_those_of_plain_duckdb_and_pandas(bench: cases.Bench) -> None:
    cases.bridge(bench)


def test_a_different_answer_is_no_measurement() -> None:
    ours = Measured("ours", [1.0], 1.0, 1, {"rows": 3, "mrr": 1e9})
    cases.agree(ours, replace(ours, answer={"rows": 3, "mrr": 1e9 + 1e-3}))
    for other in ({"rows": 3, "mrr": 1e9 + 100}, {"rows": 3}):
        with pytest.raises(cases.DisagreementError):
            cases.agree(ours, replace(ours, answer=other))


def test_the_same_size_gives_the_same_exports(bench: cases.Bench, tmp_path: Path) -> None:
    again = World(tmp_path, SMALLEST)
    for made, once_more in (
        (bench.world.clean_events(), again.clean_events()),
        (bench.world.subscriptions(), again.subscriptions()),
        (bench.world.events_as_exported(), again.events_as_exported()),
    ):
        assert made.read_bytes() == once_more.read_bytes()
