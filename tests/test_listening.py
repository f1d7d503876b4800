"""Mentions and reviews: the worked example, the ratings that mean nothing, and a recount.

The recount looks at each mention anew, in plain Python; it shares no step with the SQL.
"""

import math
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, time
from fractions import Fraction
from typing import Any

import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Policies, World
from rows import Row, account, mention, subscription

NAMES = ("mart_listening", "int_listening__slice_months")
APRIL, MAY, AS_OF = date(2024, 4, 1), date(2024, 5, 1), date(2024, 5, 10)


def rated(mention_id: str, rating: float | None, best: float | None, **columns: Any) -> Row:
    return mention(mention_id, rating=rating, rating_max=best, **columns)


def listening(
    compile_models: CompileModels, mentions: Sequence[Row], world: World | None = None
) -> list[Row]:
    world = world or World(AS_OF, accounts=[account("A")])
    models = compile_models(Policies(), NAMES)
    with closing(models.build(world, listening__mentions=mentions)) as database:
        return rows_of(database, "mart_listening")


def test_example_38_net_sentiment_of_230_positive_120_negative_and_150_neutral_is_22(
    compile_models: CompileModels,
) -> None:
    counts = {"positive": 230, "negative": 120, "neutral": 150}
    mentions = [
        mention(f"{label}-{i}", sentiment=label) for label, n in counts.items() for i in range(n)
    ]
    [row] = listening(compile_models, mentions)
    assert {label: row[label] for label in counts} == counts
    assert row["net_sentiment"] == pytest.approx(22)
    assert row["sentiment_method"] == "source"


def test_an_unlabelled_mention_is_among_all_mentions(compile_models: CompileModels) -> None:
    mentions = [mention("1", sentiment="positive"), mention("2"), mention("3"), mention("4")]
    [row] = listening(compile_models, mentions)
    assert (row["mentions"], row["unlabelled"], row["net_sentiment"]) == (4, 3, 25)


def test_a_rating_speaks_only_where_its_source_says_no_sentiment(
    compile_models: CompileModels,
) -> None:
    mentions = [
        rated("says-otherwise", 1, 5, sentiment="positive"),
        rated("good", 4, 5),
        rated("so-so", 3, 5),
        rated("bad", 4, 10),
        rated("worst", 0, 10),
        rated("best", 1e308, 1e308),
        rated("good of six", 4.8, 6),
    ]
    [row] = listening(compile_models, mentions)
    assert (row["positive"], row["neutral"], row["negative"]) == (4, 1, 2)
    assert (row["labelled_by_source"], row["labelled_by_rating"]) == (1, 6)
    assert row["sentiment_method"] == "mixed"
    stars = [row[f"ratings_of_{n}_stars"] for n in range(1, 6)]
    assert stars == [2, 1, 1, 2, 1]
    assert row["mean_rating_share"] == pytest.approx((0.2 + 0.8 + 0.6 + 0.4 + 0 + 1 + 0.8) / 7)


@pytest.mark.parametrize(
    ("rating", "best"),
    [(6, 5), (-1, 5), (3, 0), (0, 0), (3, -5), (3, None)],
    ids=["above", "negative", "of-zero", "zero-of-zero", "of-negative", "no-scale"],
)
def test_a_rating_off_its_scale_is_counted_and_left_out_and_its_mention_stays(
    compile_models: CompileModels, rating: float, best: float | None
) -> None:
    [row] = listening(compile_models, [rated("odd", rating, best), rated("fine", 5, 5)])
    assert (row["mentions"], row["ratings"], row["ratings_off_scale"]) == (2, 1, 1)
    assert (row["unlabelled"], row["mean_rating_share"], row["net_sentiment"]) == (1, 1, 50)


def test_share_of_voice_is_own_over_own_and_competitors_of_a_source(
    compile_models: CompileModels,
) -> None:
    mentions = [
        *(mention(f"own-{i}") for i in range(3)),
        mention("x", topic="competitor", brand="X"),
        mention("y", topic="competitor", brand="Y"),
        mention("elsewhere", source="social", topic="competitor", brand="X"),
    ]
    shares = {
        (row["source"], row["brand"]): row["share_of_voice"]
        for row in listening(compile_models, mentions)
    }
    assert shares == {
        ("forum", "Us"): 0.6,
        ("forum", "X"): 0.2,
        ("forum", "Y"): 0.2,
        ("social", "X"): 1.0,
    }


def test_an_account_that_speaks_twice_is_worth_its_revenue_once(
    compile_models: CompileModels,
) -> None:
    world = World(
        AS_OF,
        accounts=[account("A"), account("B")],
        subscriptions=[
            subscription("a", date(2024, 1, 1), amount=70),
            subscription("b", date(2024, 1, 1), amount=30, account_id="B"),
        ],
    )
    mentions = [
        mention("1", account_id="A", sentiment="negative"),
        mention("2", account_id="A", sentiment="positive"),
        mention("3", account_id="B", sentiment="positive"),
        mention("4", account_id="stranger", sentiment="negative"),
        mention("5"),
    ]
    [row] = listening(compile_models, mentions, world)
    found = [row[name] for name in ("accounts", "accounts_mrr", "negative_accounts_mrr")]
    assert found == [3, 100, 70]


def test_a_mention_that_lands_again_counts_in_its_newest_version(
    compile_models: CompileModels,
) -> None:
    first = mention("1", sentiment="negative", landing_date=date(2024, 5, 1))
    again = mention("1", sentiment="positive", landing_date=date(2024, 5, 2))
    [row] = listening(compile_models, [again, first])
    assert (row["mentions"], row["positive"]) == (1, 1)


# The recount


def label(row: Row) -> str:
    if row["sentiment"]:
        return str(row["sentiment"])
    share = share_of(row)
    if share is None:
        return "unlabelled"
    return (
        "positive"
        if share >= Fraction(4, 5)
        else "negative"
        if share <= Fraction(2, 5)
        else "neutral"
    )


def share_of(row: Row) -> Fraction | None:
    rating, best = row["rating"], row["rating_max"]
    if rating is None or best is None or best <= 0 or not 0 <= rating <= best:
        return None
    return Fraction(rating) / Fraction(best)


def recount(book: oracle.Book, mentions: Sequence[Row]) -> dict[tuple[str, ...], Row]:
    calendar = book.calendar
    known = [row for row in mentions if row["published_at"] < calendar.end]
    rows: dict[tuple[str, ...], Row] = {}
    for key in {
        (r["source"], r["topic"], r["brand"], str(calendar.month(r["published_at"]))) for r in known
    }:
        month = date.fromisoformat(key[3])
        same = [r for r in known if calendar.month(r["published_at"]) == month]
        same = [r for r in same if r["source"] == key[0]]
        here = [r for r in same if (r["topic"], r["brand"]) == key[1:3]]
        labels = [label(r) for r in here]
        shares = [share for r in here if (share := share_of(r)) is not None]
        stars = [max(1, math.ceil(5 * share)) for share in shares]
        speakers = {r["account_id"] for r in here if r["account_id"]}
        angry = {r["account_id"] for r in here if r["account_id"] and label(r) == "negative"}
        mrr = {
            name: book.closing_mrr(name, month) if name in book.spells else 0 for name in speakers
        }
        rows[key] = {
            "mentions": len(here),
            **{name: labels.count(name) for name in ("positive", "neutral", "negative")},
            "unlabelled": labels.count("unlabelled"),
            "net_sentiment": 100
            * (labels.count("positive") - labels.count("negative"))
            / len(labels),
            "share_of_voice": len(here) / len(same),
            "ratings": len(shares),
            "ratings_off_scale": sum(r["rating"] is not None and share_of(r) is None for r in here),
            "mean_rating_share": float(sum(shares) / len(shares)) if shares else None,
            **{f"ratings_of_{n}_stars": stars.count(n) for n in range(1, 6)},
            "accounts": len(speakers),
            "accounts_mrr": sum(mrr.values()),
            "negative_accounts_mrr": sum(mrr[name] for name in angry),
            "is_complete_period": calendar.is_complete(month),
        }
    return rows


@st.composite
def mention_rows(draw: st.DrawFn) -> list[Row]:
    def row(index: int) -> Row:
        brand = draw(st.sampled_from(["Us", "Us", "X", "Y"]))
        return mention(
            f"m{index}",
            datetime.combine(draw(st.dates(date(2024, 3, 25), date(2024, 5, 12))), time(1)),
            source=draw(st.sampled_from(["forum", "social"])),
            topic="own" if brand == "Us" else "competitor",
            brand=brand,
            sentiment=draw(st.sampled_from([None, None, "positive", "neutral", "negative"])),
            rating=draw(st.sampled_from([None, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0])),
            rating_max=draw(st.sampled_from([None, 0.0, 5.0, 5.0, 10.0])),
            account_id=draw(st.sampled_from([None, None, "A", "B", "stranger"])),
        )

    return [row(index) for index in range(draw(st.integers(0, 14)))]


def test_the_mart_equals_a_recount_and_its_classes_and_voices_add_up(
    compile_models: CompileModels,
) -> None:
    models = compile_models(Policies(), NAMES)
    world = World(
        AS_OF,
        accounts=[account("A"), account("B")],
        subscriptions=[
            subscription("a", date(2024, 1, 1), date(2024, 4, 20)),
            subscription("b", date(2024, 4, 3), account_id="B"),
        ],
    )
    book = oracle.keep_book(world)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mention_rows())
    def check(mentions: list[Row]) -> None:
        with closing(models.build(world, listening__mentions=mentions)) as database:
            rows = rows_of(database, "mart_listening")
            slices = database.sql("from intermediate.int_listening__slice_months").fetchall()
            columns = [
                name
                for name, *_ in database.execute(
                    "describe intermediate.int_listening__slice_months"
                ).fetchall()
            ]
        expected = recount(book, mentions)
        keys = [(r["source"], r["topic"], r["brand"], str(r["period_start"])) for r in rows]
        assert sorted(keys) == sorted(expected)
        for key, row in zip(keys, rows, strict=True):
            for name, value in expected[key].items():
                assert row[name] == (
                    pytest.approx(value, abs=1e-6) if isinstance(value, float) else value
                ), (name, row)
            classes = ("positive", "neutral", "negative", "unlabelled")
            assert sum(row[name] for name in classes) == row["mentions"]
            assert sum(row[f"ratings_of_{n}_stars"] for n in range(1, 6)) == row["ratings"]
            voices = [
                r["share_of_voice"]
                for r in rows
                if (r["source"], r["period_start"]) == (row["source"], row["period_start"])
            ]
            assert sum(voices) == pytest.approx(1)
        named = [dict(zip(columns, values, strict=True)) for values in slices]
        for total in (row for row in named if row["slice_dimension"] == "total"):
            parts = [
                row
                for row in named
                if row["slice_dimension"] == "source"
                and row["period_start"] == total["period_start"]
            ]
            for name in ("mentions", "other_mentions", "positive", "negative", "ratings"):
                assert sum(row[name] for row in parts) == total[name]
            own = [
                r for r in rows if (r["topic"], r["period_start"]) == ("own", total["period_start"])
            ]
            assert sum(r["mentions"] for r in own) == total["mentions"]

    check()
