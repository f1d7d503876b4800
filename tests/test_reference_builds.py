"""Real data that nobody here wrote, through the whole job: files in, published figures out."""

import csv
import gzip
import math
import os
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import oracle
import pytest
import ravenstack
import reference_listening
import reference_orders
from program import land, run_program
from reference_orders import Orders, days_until_share, share_reached
from rows import event, order, raw_row

pytestmark = pytest.mark.skipif(
    "REFERENCE_DATA" not in os.environ, reason="REFERENCE_DATA is not set"
)


def published(data_dir: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(data_dir / "published" / "marts.duckdb"), read_only=True) as marts:
        return marts.sql(sql).fetchall()


def accounts(starts: dict[str, date]) -> list[dict[str, Any]]:
    return [
        raw_row(
            "crm__accounts",
            account_id=account_id,
            account_name="-",
            segment="-",
            signed_up_at=datetime(start.year, start.month, start.day),
            contract_start_date=start,
        )
        for account_id, start in starts.items()
    ]


@pytest.fixture(scope="module", params=["cdnow", "online_retail"])
def shop(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Orders, date]:
    orders, end = getattr(reference_orders, request.param)()
    data_dir = tmp_path_factory.mktemp(request.param)
    starts = {customer: min(placed.values()).date() for customer, placed in orders.items()}
    land(data_dir, "crm/accounts", end, accounts(starts))
    rows = [
        order(order_id, at, account_id=customer)
        for customer, placed in orders.items()
        for order_id, at in placed.items()
    ]
    land(data_dir, "orders/orders", end, rows, "csv.gz")
    done = run_program(data_dir, VARS="{first_day: 1990-01-01}")
    assert done.returncode == 0, done.stdout
    return data_dir, orders, end


@pytest.mark.parametrize("days", [90, 365])
@pytest.mark.parametrize(("milestone", "nth"), [("second_order", 2), ("third_order", 3)])
def test_share_that_reached_an_order_equals_lifelines(
    shop: tuple[Path, Orders, date], milestone: str, nth: int, days: int
) -> None:
    data_dir, orders, end = shop
    [(survival,)] = published(
        data_dir,
        f"select arg_max(survival, age_days) from mart_survival_curve where subject = '{milestone}'"
        f" and slice_dimension = 'total' and age_days <= {days}",
    )
    assert 1 - survival == pytest.approx(share_reached(orders, nth, end, days), abs=1e-12)


@pytest.mark.parametrize(("milestone", "nth"), [("second_order", 2), ("third_order", 3)])
def test_median_p75_and_naive_mean_until_an_order_equal_lifelines_and_a_plain_mean(
    shop: tuple[Path, Orders, date], milestone: str, nth: int
) -> None:
    data_dir, orders, end = shop
    [(median, p75, mean)] = published(
        data_dir,
        "select distinct median_days, p75_days, naive_mean_days from mart_survival_curve"
        f" where subject = '{milestone}' and slice_dimension = 'total'",
    )
    in_order = [sorted(at.date() for at in placed.values()) for placed in orders.values()]
    days = [(dates[nth - 1] - dates[0]).days for dates in in_order if len(dates) >= nth]
    assert mean == pytest.approx(sum(days) / len(days))
    assert (median or math.inf) == days_until_share(orders, nth, end, 0.5)
    assert (p75 or math.inf) == days_until_share(orders, nth, end, 0.75)


@pytest.mark.parametrize(("milestone", "nth"), [("second_order", 2), ("third_order", 3)])
def test_start_cohorts_that_reached_an_order_equal_a_plain_count(
    shop: tuple[Path, Orders, date], milestone: str, nth: int
) -> None:
    data_dir, orders, end = shop
    started: Counter[tuple[date, int]] = Counter()
    reached: Counter[tuple[date, int]] = Counter()
    for placed in orders.values():
        dates = sorted(at.date() for at in placed.values())
        month = dates[0].replace(day=1)
        last_start = oracle.next_month(month) - timedelta(days=1)
        for days in (7, 30, 60, 90):
            if (end - last_start).days >= days:
                started[month, days] += 1
                reached[month, days] += (
                    len(dates) >= nth and (dates[nth - 1] - dates[0]).days <= days
                )
    found = published(
        data_dir,
        "select cohort_start, window_days, started, reached, reached_share"
        f" from mart_onboarding_cohorts where milestone = '{milestone}'"
        " and slice_dimension = 'total'",
    )
    assert len(started) >= 12
    assert {(month, days): (count, in_time) for month, days, count, in_time, _ in found} == {
        cell: (count, reached[cell]) for cell, count in started.items()
    }
    for _, _, count, in_time, share in found:
        assert share == pytest.approx(in_time / count)


def test_monthly_order_cohorts_equal_a_plain_count(shop: tuple[Path, Orders, date]) -> None:
    data_dir, orders, end = shop
    cohorts: Counter[tuple[date, date]] = Counter()
    for placed in orders.values():
        months = {at.date().replace(day=1) for at in placed.values()}
        cohorts.update([(min(months), month) for month in months])
    is_month_end = (end + timedelta(days=1)).day == 1
    complete = {
        (start, month): count
        for (start, month), count in cohorts.items()
        if is_month_end or month < end.replace(day=1)
    }
    cells = published(
        data_dir,
        "select cohort_start, period_start, value::int, cohort_size::int, retention_rate"
        " from mart_cohort_retention where basis = 'orders'",
    )
    assert {(start, month): value for start, month, value, *_ in cells if value} == complete
    for start, _, value, size, rate in cells:
        assert size == cohorts[start, start]
        assert rate == pytest.approx(value / size)


@pytest.fixture(scope="module")
def survey_and_onboarding(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[dict[str, str]], dict[str, dict[str, datetime]]]:
    """The airport's answers, the bank's onboardings, the shop's tweets and the clothier's reviews
    as one company's exports."""
    folder = Path(os.environ["REFERENCE_DATA"])
    data_dir = tmp_path_factory.mktemp("sfo_ibm")
    day = date(2024, 7, 5)
    with gzip.open(
        folder / "sfo_survey" / "2017_SFO_Customer_Survey.csv.gz", "rt", encoding="utf-8-sig"
    ) as file:
        interviews = list(csv.DictReader(file))
    answers = [
        raw_row(
            "surveys__responses",
            response_id=row["RESPNUM"],
            survey_type="nps",
            responded_at=datetime(2017, 5, int(row["INTDATE"]), 12),
            score=row["NETPRO"] or None,
            is_test=False,
        )
        for row in interviews
    ]
    land(data_dir, "surveys/responses", day, answers, "jsonl.gz")

    reached: dict[str, dict[str, datetime]] = defaultdict(dict)
    with gzip.open(folder / "ibm_onboarding" / "onboard_client.csv.gz", "rt") as file:
        log = list(csv.DictReader(file))
    for row in log:
        at = datetime.strptime(row["start"], "%d-%m-%Y %H:%M:%S")
        first = reached[row["process"]].get(row["activity"], at)
        reached[row["process"]][row["activity"]] = min(at, first)
    names = {ACTIVITIES[0]: "login", ACTIVITIES[1]: "report_created"}
    events = [
        event(
            str(number),
            datetime.strptime(row["start"], "%d-%m-%Y %H:%M:%S"),
            account_id=row["process"],
            user_id=None,
            event_name=names.get(row["activity"], row["activity"]),
        )
        for number, row in enumerate(log)
    ]
    land(data_dir, "product/events", day, events, "parquet")
    starts = {client: min(times.values()).date() for client, times in reached.items()}
    land(data_dir, "crm/accounts", day, accounts(starts))
    said = "listening/mentions"
    land(data_dir, said, day - timedelta(1), reference_listening.tweets(), "jsonl.gz")
    land(data_dir, said, day, reference_listening.reviews(datetime(2024, 7, 5, 12)), "csv")
    done = run_program(data_dir)
    assert done.returncode == 0, done.stdout
    return data_dir, interviews, reached


ACTIVITIES = ("Submit Request", "Upload Documents")


def test_airport_nps_equals_a_plain_count(survey_and_onboarding: tuple[Any, ...]) -> None:
    data_dir, interviews, _ = survey_and_onboarding
    scores = [int(row["NETPRO"]) for row in interviews if row["NETPRO"] not in ("", "11")]
    promoters, detractors = sum(s >= 9 for s in scores), sum(s <= 6 for s in scores)
    assert len(scores) > 2500
    [found] = published(
        data_dir,
        "select responses, favourable, unfavourable, score, excluded_no_answer"
        " from mart_survey_scores where period_window = 'month' and slice_dimension = 'total'",
    )
    nps = 100 * (promoters - detractors) / len(scores)
    codes = sum(row["NETPRO"] == "11" for row in interviews)
    assert found == (len(scores), promoters, detractors, pytest.approx(nps), codes)


@pytest.mark.parametrize(
    ("milestone", "activity"),
    [("first_login", ACTIVITIES[0]), ("first_key_action", ACTIVITIES[1])],
)
def test_bank_onboarding_times_equal_a_plain_computation(
    survey_and_onboarding: tuple[Any, ...], milestone: str, activity: str
) -> None:
    data_dir, _, reached = survey_and_onboarding
    expected = {
        client: (times[activity].date() - min(times.values()).date()).days
        for client, times in reached.items()
        if activity in times
    }
    found = published(
        data_dir,
        "select account_id, days_to_reach from mart_onboarding_milestones"
        f" where milestone = '{milestone}' and status = 'reached'",
    )
    assert len(expected) > 1000
    assert dict(found) == expected
    [(mean,)] = published(
        data_dir,
        "select distinct naive_mean_days from mart_survival_curve"
        f" where subject = '{milestone}' and slice_dimension = 'total'",
    )
    assert mean == pytest.approx(sum(expected.values()) / len(expected))


def test_tweets_equal_a_plain_count_by_month_and_sentiment(
    survey_and_onboarding: tuple[Any, ...],
) -> None:
    data_dir, *_ = survey_and_onboarding
    tweets = reference_listening.tweets()
    expected = Counter((t["published_at"].date().replace(day=1), t["sentiment"]) for t in tweets)
    speakers: dict[date, set[str]] = defaultdict(set)
    for tweet in tweets:
        speakers[tweet["published_at"].date().replace(day=1)].add(tweet["account_id"])
    found = published(
        data_dir,
        "select period_start, mentions, positive, neutral, negative, net_sentiment,"
        " sentiment_method, share_of_voice, accounts"
        f" from mart_listening where brand = '{reference_listening.SHOP}'",
    )
    assert sum(row[1] for row in found) == len(tweets) > 20_000
    assert {row[0] for row in found} == set(speakers)
    for month, mentions, positive, neutral, negative, net, method, voice, accounts_ in found:
        assert (positive, neutral, negative) == tuple(
            expected[month, label] for label in ("positive", "neutral", "negative")
        )
        assert net == pytest.approx(100 * (positive - negative) / mentions)
        assert (method, voice, accounts_) == ("source", 1, len(speakers[month]))


def test_reviews_equal_a_plain_count_by_rating(survey_and_onboarding: tuple[Any, ...]) -> None:
    data_dir, *_ = survey_and_onboarding
    ratings = [row["rating"] for row in reference_listening.reviews(datetime(2024, 7, 5))]
    counts = Counter(ratings)
    [(stars, mentions, rated, mean, positive, neutral, negative, method, net)] = published(
        data_dir,
        "select [ratings_of_1_stars, ratings_of_2_stars, ratings_of_3_stars, ratings_of_4_stars,"
        " ratings_of_5_stars], mentions, ratings, mean_rating_share, positive, neutral, negative,"
        f" sentiment_method, net_sentiment from mart_listening"
        f" where brand = '{reference_listening.CLOTHING}'",
    )
    assert mentions == rated == len(ratings) > 23_000
    assert stars == [counts[n] for n in (1, 2, 3, 4, 5)]
    assert 5 * mean == pytest.approx(sum(ratings) / len(ratings))
    assert (positive, neutral, negative) == (
        counts[4] + counts[5],
        counts[3],
        counts[1] + counts[2],
    )
    assert method == "rating"
    assert net == pytest.approx(100 * (positive - negative) / len(ratings))


def test_every_tweet_and_review_went_in(survey_and_onboarding: tuple[Any, ...]) -> None:
    data_dir, *_ = survey_and_onboarding
    [found] = published(
        data_dir,
        "select sum(rows_in)::int, sum(rows_accepted)::int from mart_export_quality"
        " where export = 'mentions'",
    )
    tweets, reviews = reference_listening.tweets(), reference_listening.reviews(datetime.min)
    assert found == (len(tweets) + len(reviews),) * 2


def test_ravenstack_files_become_the_oracle_s_bridge(tmp_path: Path) -> None:
    for name in ("accounts", "subscriptions", "feature_usage", "support_tickets", "churn_events"):
        target = tmp_path / "landing" / "ravenstack" / name
        target.mkdir(parents=True)
        source = Path(os.environ["REFERENCE_DATA"]) / "ravenstack" / f"ravenstack_{name}.csv.gz"
        (target / "2024-12-31.csv.gz").write_bytes(source.read_bytes())
    done = run_program(tmp_path, SYSTEMS="ravenstack")
    assert done.returncode == 0, done.stdout

    accepted = published(tmp_path, "select export, rows_in, rows_accepted from mart_export_quality")
    assert sorted(accepted) == [
        ("accounts", 500, 500),
        ("churn_events", 600, 600),
        ("feature_usage", 25_000, 25_000),
        ("subscriptions", 5_000, 5_000),
        ("support_tickets", 2_000, 2_000),
    ]
    rows = published(
        tmp_path,
        "select slice_dimension, slice_value, period_start, opening_mrr, new_mrr, reactivation_mrr,"
        " expansion_mrr, contraction_mrr, churned_mrr, closing_mrr, closing_accounts"
        " from mart_mrr_bridge",
    )
    expected = [
        (
            *(row["slice_dimension"], row["slice_value"], row["period_start"]),
            *(row["opening_mrr"], row["new_mrr"], row["reactivation_mrr"], row["expansion_mrr"]),
            *(row["contraction_mrr"], row["churned_mrr"], row["closing_mrr"]),
            row["closing_accounts"],
        )
        for row in oracle.mrr_bridge(oracle.keep_book(ravenstack.world()))
    ]
    assert sorted(rows) == sorted(expected)
