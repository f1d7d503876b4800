"""What people wrote in surveys: the class is core's, the revenue its account's, text a policy."""

from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime, time
from typing import Any

import polars as pl
from frames import RESPONSES, SURVEY_TYPES, frame, response, seed
from hypothesis import given, settings
from hypothesis import strategies as st
from models import CompileModels, rows_of
from oracle import Policies, World
from rows import Row, account, raw_row, subscription
from test_surveys import EFFORT, SHIPPED, TYPES
from test_surveys import World as Answers

from dagster_project.core.surveys import classes

AS_OF = date(2024, 5, 10)
PRIVACY = ("publish_comments", "publish_names")


def written(response_id: str, comment: str | None, **columns: Any) -> Row:
    """An NPS answer of 10 on the 20th of April, as surveys/responses exports it."""
    known = {
        "response_id": response_id,
        "survey_type": "nps",
        "respondent_id": "usr-1",
        "account_id": "A",
        "responded_at": datetime(2024, 4, 20, 12),
        "score": 10,
        "comment": comment,
        "channel": "email",
    }
    return raw_row("surveys__responses", **known | columns)


def classified(rows: Sequence[Row], survey_types: pl.LazyFrame | None = None) -> list[Row]:
    """derived.survey_responses, by the code that the Polars asset calls."""
    schema = RESPONSES | {"channel": pl.String}
    given_rows = [
        {name: row.get(name) for name in schema}
        | {"responded_date": row["responded_at"].date(), "is_test": bool(row["is_test"])}
        for row in rows
    ]
    table = classes(
        frame(given_rows, schema),
        seed("survey_types", SURVEY_TYPES) if survey_types is None else survey_types,
    )
    return table.collect(engine="streaming").to_dicts()


def verbatims(compile_models: CompileModels, rows: Sequence[Row], **tables: Any) -> dict[str, Row]:
    """mart_survey_verbatims by response_id, of a world in which A pays 100 until the end of April,
    B pays nothing and billing alone knows X."""
    publish = {name: tables.pop(name) for name in PRIVACY if name in tables}
    models = compile_models(Policies(), ("mart_survey_verbatims",), **publish)
    world = World(
        AS_OF,
        accounts=[account("A"), account("B", segment=None)],
        subscriptions=[
            subscription("a", date(2024, 1, 1), date(2024, 4, 30)),
            subscription("x", date(2024, 4, 5), account_id="X", amount=40),
        ],
    )
    tables = {
        "surveys__responses": rows,
        "derived__survey_responses": classified(rows),
        **tables,
    }
    with closing(models.build(world, **tables)) as database:
        found = rows_of(database, "mart_survey_verbatims")
    assert len({row["response_id"] for row in found}) == len(found)
    return {row["response_id"]: row for row in found}


def test_an_answer_without_words_is_no_verbatim(compile_models: CompileModels) -> None:
    rows = [written("words", "Fine"), written("none", None), written("blank", " ")]
    assert list(verbatims(compile_models, rows)) == ["words"]


def test_the_class_of_a_verbatim_is_the_one_that_scores_count(
    compile_models: CompileModels,
) -> None:
    rows = [
        written("promoter", "a", score=9),
        written("passive", "b", score=7),
        written("detractor", "c", score=6),
        written("no-answer", "d", score=11),
        written("test", "e", is_test=True),
        written("no-score", "f", score=None),
        written("unheard-of", "g", survey_type="mood"),
    ]
    found = verbatims(compile_models, rows)
    assert {name: (row["score_class"], row["excluded"]) for name, row in found.items()} == {
        "promoter": ("favourable", None),
        "passive": ("neutral", None),
        "detractor": ("unfavourable", None),
        "no-answer": (None, "no_answer"),
        "test": (None, "test"),
        "no-score": (None, "blank"),
        "unheard-of": (None, "unknown_survey"),
    }


def test_a_verbatim_is_worth_what_its_account_paid_before_and_pays_now(
    compile_models: CompileModels,
) -> None:
    rows = [
        written("left", "a"),
        written("before-it-paid", "b", responded_at=datetime(2024, 1, 31)),
        written("never-paid", "c", account_id="B"),
        written("known-to-billing", "d", account_id="X"),
        written("stranger", "e", account_id="nobody"),
        written("anonymous", "f", account_id=None),
    ]
    found = verbatims(compile_models, rows)
    names = ("mrr_before", "mrr", "is_in_accounts_export", "segment")
    assert {name: tuple(row[column] for column in names) for name, row in found.items()} == {
        "left": (100, 0, True, "mid"),
        "before-it-paid": (0, 0, True, "mid"),
        "never-paid": (0, 0, True, "unknown"),
        "known-to-billing": (0, 40, False, "unknown"),
        "stranger": (None, None, None, None),
        "anonymous": (None, None, None, None),
    }


def test_themes_are_those_whose_words_are_found_whatever_their_case(
    compile_models: CompileModels,
) -> None:
    themes = [
        {"theme": "price", "pattern": "%too dear%"},
        {"theme": "price", "pattern": "%expensive%"},
        {"theme": "speed", "pattern": "%slow%"},
    ]
    rows = [
        written("both", "SLOW, too dear\nand expensive"),
        written("none", "I like it"),
    ]
    found = verbatims(compile_models, rows, seeds__comment_themes=themes)
    assert found["both"]["themes"] == ["price", "speed"]
    assert found["none"]["themes"] == []


def test_withheld_comments_leave_everything_but_the_text(compile_models: CompileModels) -> None:
    rows = [written("1", "Too expensive, says Ada")]
    shown = verbatims(compile_models, rows)["1"]
    withheld = verbatims(compile_models, rows, publish_comments="none")["1"]
    assert shown["comment"] == "Too expensive, says Ada"
    assert withheld == shown | {"comment": None}


def test_e_mail_addresses_in_comments_are_withheld_unless_names_are_published(
    compile_models: CompileModels,
) -> None:
    comment = "Ask <ada.l+x@mail.example.com>, not bob@example.org or @carol; 3 @ 5 is fine"
    hidden = verbatims(compile_models, [written("1", comment)])["1"]
    shown = verbatims(compile_models, [written("1", comment)], publish_names="all")["1"]
    assert hidden["comment"] == "Ask <[e-mail]>, not [e-mail] or @carol; 3 @ 5 is fine"
    assert shown == hidden | {"comment": comment}


def test_no_answers_give_no_verbatims(compile_models: CompileModels) -> None:
    assert verbatims(compile_models, []) == {}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(-1, 12)),
            TYPES,
            st.integers(0, 9).map(lambda n: n == 0),
        ),
        max_size=12,
    )
)
def test_the_classes_of_answers_sum_to_the_counts_of_the_scores(
    answers: list[tuple[int | None, str, bool]],
) -> None:
    rows = [
        response(
            f"r{i}",
            score,
            date(2024, 5, 2),
            survey_type=survey_type,
            is_test=is_test,
            responded_at=datetime.combine(date(2024, 5, 2), time(9)),
        )
        for i, (score, survey_type, is_test) in enumerate(answers)
    ]
    given_types = frame([*SHIPPED, EFFORT], SURVEY_TYPES)
    found = pl.DataFrame(
        classified(rows, given_types),
        schema_overrides={"score_class": pl.String, "excluded": pl.String},
    )
    counted = Answers(rows).frame().filter(period_window="month", slice_dimension="total")
    for totals in counted.to_dicts():
        own = found.filter(survey_type=totals["survey_type"])
        for name in ("favourable", "neutral", "unfavourable"):
            assert own.filter(score_class=name).height == totals[name]
        for reason in ("test", "blank", "no_answer", "out_of_scale"):
            assert own.filter(excluded=reason).height == totals[f"excluded_{reason}"]
    assert found.height == len(answers)
