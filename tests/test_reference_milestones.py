"""Real orders and onboardings: time to each milestone, here and by an independent computation.

The independent side reads the files with the standard library (Parquet aside), keeps orders in
dictionaries, and leaves the survival curve to lifelines; the side under test goes through `reach`
and the textbook product of Kaplan and Meier (1958).
"""

import csv
import gzip
import os
from collections import Counter
from datetime import date, datetime

import polars as pl
import pytest
from frames import MILESTONES, OCCURRENCES, STARTS, Row, frame, occurrence, seed, start
from reference_orders import Orders, cdnow, folder, online_retail, share_reached

from dagster_project.core.milestones import reach

pytestmark = pytest.mark.skipif(
    "REFERENCE_DATA" not in os.environ, reason="REFERENCE_DATA is not set"
)


def kaplan_meier(rows: list[Row], day: int) -> float:
    """The share that has not reached the milestone `day` days after the start."""
    durations = [(row["observed_until"] - row["started_date"]).days for row in rows]
    ended = Counter(durations)
    events = Counter(row["days_to_reach"] for row in rows if not row["is_censored"])
    at_risk, survival = len(rows), 1.0
    for age in sorted(ended):
        if age <= day:
            survival *= 1 - events[age] / at_risk
            at_risk -= ended[age]
    return survival


@pytest.fixture(scope="module", params=[cdnow, online_retail], ids=["cdnow", "online_retail"])
def shop(request: pytest.FixtureRequest) -> tuple[Orders, date, pl.DataFrame]:
    orders, end = request.param()
    starts = [start(who, min(placed.values()).date()) for who, placed in orders.items()]
    occurrences = (
        occurrence(who, at, order_id)
        for who, placed in orders.items()
        for order_id, at in placed.items()
    )
    reached = reach(
        frame(starts, STARTS),
        frame(occurrences, OCCURRENCES),
        seed("onboarding_milestones", MILESTONES).filter(source="order"),
        end,
    ).collect(engine="streaming")
    return orders, end, reached


@pytest.mark.parametrize("day", [90, 365])
@pytest.mark.parametrize(("nth", "milestone"), [(2, "second_order"), (3, "third_order")])
def test_the_share_that_reached_the_next_orders_equals_lifelines(
    shop: tuple[Orders, date, pl.DataFrame], nth: int, milestone: str, day: int
) -> None:
    orders, end, reached = shop
    rows = reached.filter(milestone=milestone).to_dicts()
    assert len(rows) == len(orders)
    expected = share_reached(orders, nth, end, day)
    assert 0 < expected < 1
    assert 1 - kaplan_meier(rows, day) == pytest.approx(expected, abs=1e-12)


def test_everybody_who_ordered_reached_the_first_order_on_the_day_of_the_start(
    shop: tuple[Orders, date, pl.DataFrame],
) -> None:
    orders, _, reached = shop
    first = reached.filter(milestone="first_order")
    assert first.get_column("days_to_reach").to_list() == [0] * len(orders)


def test_the_bank_reaches_each_of_its_eleven_activities_when_the_log_says() -> None:
    path = folder("ibm_onboarding") / "onboard_client.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as lines:
        log = [
            (row["process"], row["activity"], datetime.strptime(row["start"], "%d-%m-%Y %H:%M:%S"))
            for row in csv.DictReader(lines)
        ]
    began: dict[str, datetime] = {}
    first: dict[tuple[str, str], datetime] = {}
    for client, activity, at in log:
        began[client] = min(at, began.get(client, at))
        first[client, activity] = min(at, first.get((client, activity), at))
    activities = sorted({activity for _, activity, _ in log})
    assert (len(log), len(began), len(activities)) == (54_224, 6_838, 11)

    reached = reach(
        frame((start(client, at.date()) for client, at in began.items()), STARTS),
        frame(
            (
                occurrence(client, at, f"e{i}", source="event", event_name=activity)
                for i, (client, activity, at) in enumerate(log)
            ),
            OCCURRENCES,
        ),
        frame(
            (
                {"milestone": a, "source": "event", "event_name": a, "nth": 1, "is_required": True}
                for a in activities
            ),
            MILESTONES,
        ),
        max(at for *_, at in log).date(),
    ).collect(engine="streaming")

    assert reached.height == len(began) * len(activities)
    found = {
        (row["account_id"], row["milestone"]): (row["reached_at"], row["days_to_reach"])
        for row in reached.filter(status="reached").to_dicts()
    }
    assert found == {
        (client, activity): (at, (at.date() - began[client].date()).days)
        for (client, activity), at in first.items()
    }
