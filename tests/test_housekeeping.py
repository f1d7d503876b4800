"""What is too old goes, by policy; what a mart is computed from, or the UI shows, never does."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from program import land
from rows import account, raw_row

from dagster_project import housekeeping, settings, state
from dagster_project.core import expiry
from dagster_project.core.exports import Export, load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import read_ledger
from dagster_project.core.staleness import Rules, stale_days
from dagster_project.instance import forget_runs

EXPORTS = load_exports(settings.STAGING_DIR)
ACCOUNTS = EXPORTS["crm/accounts"]  # a snapshot, whose newest good day is the as-of day
ASSIGNMENTS = EXPORTS["people/csm_assignments"]  # a snapshot
INVITATIONS = EXPORTS["surveys/invitations"]  # append
DAYS = [dt.date(2024, 1, day) for day in range(1, 6)]
RULES = Rules(DAYS[0], max_reject_share=0.6, systems=settings.current().systems)
TIME = "2024-01-01T00:00:00"
ROWS: dict[str, list[dict[str, Any]]] = {
    "crm/accounts": [account("a")],
    "people/csm_assignments": [
        raw_row("people__csm_assignments", account_id=name, csm_owner="o", assigned_at=TIME)
        for name in ("a", None)
    ],
    "surveys/invitations": [
        raw_row(
            "surveys__invitations",
            invitation_id=i,
            survey_type="nps",
            respondent_id="r",
            account_id="a",
            sent_at=TIME,
        )
        for i in ("i", None)
    ],
}


def extract(lake: Lake, rules: Rules, *exports: Export) -> list[str]:
    """Extract what is stale; says what that was."""
    done = []
    with Extractor(lake, rules) as extractor:
        for export in exports:
            for day in stale_days(export, lake, read_ledger(lake), rules):
                extractor.extract_day(export, day)
                done.append(f"{export.name} {day.day}")
    return done


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Five days of accounts, and of a snapshot and an append export with a refused row, in raw."""
    lake = Lake(tmp_path)
    for name, rows in ROWS.items():
        for day in DAYS:
            land(tmp_path, name, day, rows)
    assert len(extract(lake, RULES, ACCOUNTS, ASSIGNMENTS, INVITATIONS)) == 15
    return lake


def in_raw(lake: Lake, export: Export) -> list[int]:
    files = lake.raw(export.system, export.name).glob("date=*/data.parquet")
    return sorted(int(file.parent.name[-2:]) for file in files)


def expire(lake: Lake, rules: Rules) -> int:
    exports = (ASSIGNMENTS, INVITATIONS)
    return len(expiry.expire_snapshots(lake, exports, read_ledger(lake), rules))


@pytest.mark.parametrize(
    ("days_kept", "left"),
    [(None, [1, 2, 3, 4, 5]), (9, [1, 2, 3, 4, 5]), (2, [3, 4, 5]), (0, [5])],
)
def test_superseded_snapshots_go_and_are_not_extracted_again(
    lake: Lake, days_kept: int | None, left: list[int]
) -> None:
    rules, before = replace(RULES, snapshot_days_kept=days_kept), lake.ledger.read_bytes()
    assert expire(lake, rules) == 5 - len(left)
    assert in_raw(lake, ASSIGNMENTS) == left
    assert in_raw(lake, INVITATIONS) == [1, 2, 3, 4, 5]
    assert extract(lake, rules, ASSIGNMENTS, INVITATIONS) == []
    assert expire(lake, rules) == 0
    assert lake.ledger.read_bytes() == before


def test_the_newest_good_day_stays_whatever_failed_or_vanished_after_it(lake: Lake) -> None:
    rules = replace(RULES, snapshot_days_kept=0)
    broken = DAYS[-1] + dt.timedelta(1)
    land(lake.root, "people/csm_assignments", broken, [{"what": 1}])
    extract(lake, rules, ASSIGNMENTS)
    lake.raw_day("people", "csm_assignments", DAYS[-1]).unlink()
    assert expire(lake, rules) == 0  # what supersedes them is not there
    assert extract(lake, rules, ASSIGNMENTS) == ["csm_assignments 5"]
    expire(lake, rules)
    assert in_raw(lake, ASSIGNMENTS) == [5]


def test_the_day_that_the_marts_read_stays_while_accounts_fail(lake: Lake) -> None:
    rules, next_day = replace(RULES, snapshot_days_kept=0), DAYS[-1] + dt.timedelta(1)
    chosen = replace(settings.current(), data_dir=lake.root)
    land(lake.root, "crm/accounts", next_day, [{"what": 1}])
    land(lake.root, "people/csm_assignments", next_day, ROWS["people/csm_assignments"])
    extract(lake, rules, ACCOUNTS, ASSIGNMENTS)
    expire(lake, rules)
    assert in_raw(lake, ASSIGNMENTS) == [5, 6]  # the marts are as of the fifth still
    lake.raw_day("people", "csm_assignments", DAYS[-1]).unlink()
    assert state.lost_days(chosen) == {"people/csm_assignments": [DAYS[-1]]}
    assert extract(lake, rules, ASSIGNMENTS) == ["csm_assignments 5"]
    land(lake.root, "crm/accounts", next_day, ROWS["crm/accounts"])
    extract(lake, rules, ACCOUNTS)
    expire(lake, rules)
    assert in_raw(lake, ASSIGNMENTS) == [6]
    assert state.lost_days(chosen) == {}


def test_nothing_is_superseded_before_accounts_arrive(lake: Lake) -> None:
    assert expire(lake, replace(RULES, snapshot_days_kept=0, systems=("people", "surveys"))) == 0


def test_what_systems_hold_that_are_off_is_kept(lake: Lake) -> None:
    assert expire(lake, replace(RULES, snapshot_days_kept=0, systems=("crm",))) == 0


def test_a_dropped_day_that_is_wanted_again_is_extracted_again(lake: Lake) -> None:
    rules = replace(RULES, snapshot_days_kept=1)
    expire(lake, rules)
    assert in_raw(lake, ASSIGNMENTS) == [4, 5]
    pinned = replace(rules, as_of=DAYS[1])
    assert extract(lake, pinned, ASSIGNMENTS) == ["csm_assignments 2"]
    assert in_raw(lake, ASSIGNMENTS) == [2, 4, 5]
    expire(lake, rules)
    everything = [f"csm_assignments {day}" for day in (1, 2, 3)]
    assert extract(lake, replace(rules, snapshot_days_kept=None), ASSIGNMENTS) == everything


def test_a_day_that_the_marts_need_and_raw_has_lost_is_named(lake: Lake) -> None:
    chosen = replace(settings.current(), data_dir=lake.root)
    expire(lake, replace(RULES, snapshot_days_kept=0))
    assert state.lost_days(chosen) == {}
    pinned = {**chosen.policies, "as_of": "2024-01-02"}
    assert state.lost_days(replace(chosen, policies=pinned)) == {
        "people/csm_assignments": [DAYS[1]]
    }
    lake.raw_day("surveys", "invitations", DAYS[0]).unlink()
    assert state.lost_days(chosen) == {"surveys/invitations": [DAYS[0]]}


@pytest.mark.parametrize(("days_kept", "left"), [(None, 10), (4, 10), (1, 4), (0, 2)])
def test_rejects_go_by_age(lake: Lake, days_kept: int | None, left: int) -> None:
    raw_state = [in_raw(lake, ASSIGNMENTS), in_raw(lake, INVITATIONS)]
    expiry.expire_rejects(lake, read_ledger(lake), days_kept)
    assert len(list(lake.rejects_days())) == left
    assert [in_raw(lake, ASSIGNMENTS), in_raw(lake, INVITATIONS)] == raw_state
    assert extract(lake, RULES, ASSIGNMENTS, INVITATIONS) == []


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["1", "2"]))
def daily(context: dg.AssetExecutionContext) -> None:
    if "fails" in context.run.tags:
        raise ValueError


@dg.asset
def mart() -> None: ...


def test_old_runs_are_forgotten_but_for_the_newest_word_on_each_day(tmp_path: Path) -> None:
    home = tmp_path / ".dagster"
    home.mkdir()
    with dg.DagsterInstance.local_temp(str(home)) as instance:

        def run(asset: Any, **chosen: Any) -> str:
            return dg.materialize(
                [asset], instance=instance, raise_on_error=False, **chosen
            ).run_id  # fmt: skip

        again, day, gone = run(daily, partition_key="1"), run(daily, partition_key="1"), run(mart)
        failed, built = run(daily, partition_key="2", tags={"fails": "yes"}), run(mart)
        now = dt.datetime.now(dt.UTC)
        assert forget_runs(instance, now - dt.timedelta(days=1)) == 0
        assert forget_runs(instance, now + dt.timedelta(days=1)) == 2
        assert {it.run_id for it in instance.get_runs()} == {day, failed, built}
        assert instance.get_materialized_partitions(daily.key) == {"1"}
        left = {path.name for path in home.rglob("*") if again in path.name or gone in path.name}
        assert left == set()


def test_housekeeping_keeps_what_the_policies_keep_by_default(lake: Lake) -> None:
    chosen = replace(settings.current(), data_dir=lake.root)
    tight = {"snapshot_days_kept": 1, "reject_days_kept": 1}
    with dg.DagsterInstance.ephemeral() as instance:
        assert housekeeping.tidy(chosen, instance) == ""
        strict = replace(chosen, policies={**chosen.policies, **tight})
        assert housekeeping.tidy(strict, instance) == "6 superseded snapshots, 6 days of rejects"
