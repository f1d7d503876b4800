"""Real survey answers: San Francisco airport, 2017, scored here and counted in plain Python."""

import csv
import gzip
import os
from collections import Counter
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from frames import ACCOUNT_MONTHS, INVITATIONS, RESPONSES, SURVEY_TYPES, Row, frame, response, seed
from frames import slices as slices_of

from dagster_project.core.surveys import scores

pytestmark = pytest.mark.skipif(
    "REFERENCE_DATA" not in os.environ, reason="REFERENCE_DATA is not set"
)

MAY = date(2017, 5, 1)
# The survey's own "no answer" codes: 0 for left blank, 6 for never used; Q7ALL has "Blank".
AIRPORT_CSAT = {
    "survey_type": "csat",
    "metric": "csat",
    "scale_min": 1,
    "scale_max": 5,
    "favourable_from": 4,
    "unfavourable_to": 2,
    "is_high_good": True,
    "no_answer_codes": "0|6",
}


@pytest.fixture(scope="module")
def interviews() -> list[dict[str, str]]:
    path = Path(os.environ["REFERENCE_DATA"]) / "sfo_survey" / "2017_SFO_Customer_Survey.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def scored(interviews: list[dict[str, str]], question: str, kind: pl.LazyFrame) -> Row:
    survey_type = kind.collect().item(0, "survey_type")
    responses = [
        response(
            row["RESPNUM"],
            int(row[question]) if row[question].isdigit() else None,
            MAY.replace(day=int(row["INTDATE"])),
            survey_type=survey_type,
            respondent_id=row["RESPNUM"],
        )
        for row in interviews
    ]
    table = scores(
        frame(responses, RESPONSES),
        frame([], INVITATIONS),
        kind,
        slices_of({}),
        frame([], ACCOUNT_MONTHS),
        date(2017, 5, 31),
    ).collect(engine="streaming")
    return table.filter(period_window="month").row(0, named=True)


def test_nps_of_the_airport_with_11_as_no_answer(interviews: list[dict[str, str]]) -> None:
    given = Counter(row["NETPRO"] for row in interviews)
    promoters = given["9"] + given["10"]
    detractors = sum(given[str(score)] for score in range(7))
    n = promoters + detractors + given["7"] + given["8"]
    assert given["11"] > 0

    nps = seed("survey_types", SURVEY_TYPES).filter(survey_type="nps")
    row = scored(interviews, "NETPRO", nps)
    counts = [row[c] for c in ("responses", "favourable", "unfavourable", "excluded_no_answer")]
    assert counts == [n, promoters, detractors, given["11"]]
    assert row["excluded_blank"] == given[""]
    assert row["answers"] == len(interviews) == 2831
    assert row["score"] == pytest.approx(100 * (promoters - detractors) / n)


@pytest.mark.parametrize("question", ["Q7ALL", "Q9ALL"])
def test_csat_of_the_airport_leaves_out_blank_and_not_used(
    interviews: list[dict[str, str]], question: str
) -> None:
    given = Counter(row[question] for row in interviews)
    rated = {score: given[str(score)] for score in range(1, 6)}
    n = sum(rated.values())
    assert n < len(interviews)

    row = scored(interviews, question, frame([AIRPORT_CSAT], SURVEY_TYPES))
    assert row["responses"] == n
    assert row["excluded_no_answer"] == given["0"] + given["6"]
    assert row["excluded_blank"] == given["Blank"]
    assert row["excluded_out_of_scale"] == 0
    assert row["score"] == pytest.approx(100 * (rated[4] + rated[5]) / n)
    assert row["mean_score"] == pytest.approx(sum(s * c for s, c in rated.items()) / n)
