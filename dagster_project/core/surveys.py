"""Survey scores: NPS, CES and CSAT by one expression whose rules are the survey_types seed.

What belongs here: which answer counts, its class, the score with its margin, the response rate.
What does not: reading files, time zones (dates arrive in the reporting zone), which surveys exist
(dbt/seeds/survey_types.csv), rounding (a presentation matter).

Everything before the final ratios is a sum over accounts, so a slice is one more sum and the slices
of a dimension add up to the total.
"""

from datetime import date, timedelta

import polars as pl

from dagster_project.core.slices import by_slice

Z_95 = 1.96
EXCLUSIONS = ("test", "blank", "no_answer", "out_of_scale")

_COUNTS = [
    "answers",
    *(f"excluded_{reason}" for reason in EXCLUSIONS),
    "responses",
    "favourable",
    "unfavourable",
    "score_sum",
    "invitations",
    "answered",
]

# An answer lies in its own month, and in each month whose trailing window reaches back to it. Three
# months later is the farthest: February, March and April together are 89 days, no three are fewer.
_WINDOWS = {
    "period_window": ["month", *["trailing_90d"] * 4],
    "months_later": [0, 0, 1, 2, 3],
    "window_days": [None, 90, 90, 90, 90],
}
_WINDOW = [
    "survey_type",
    "period_window",
    "period_start",
    "period_end",
    "window_start",
    "window_end",
]


def scores(
    responses: pl.LazyFrame,
    invitations: pl.LazyFrame,
    survey_types: pl.LazyFrame,
    slices: pl.LazyFrame,
    account_months: pl.LazyFrame,
    as_of: date,
    small_sample: int = 30,
) -> pl.LazyFrame:
    """The rows of mart_survey_scores: one per survey type x slice x window x month.

    Inputs, dates in the reporting time zone:
    responses: response_id, survey_type, respondent_id?, account_id?, responded_at, responded_date,
    score?, is_test; invitations: survey_type, respondent_id, account_id?, sent_date; survey_types:
    the seed; slices: account_id, slice_dimension, slice_value; account_months: account_id,
    period_start, closing_mrr. Nothing dated after `as_of` takes part. A survey type that the seed
    does not name has no rows.

    A row exists where a slice has an answer or an invitation in the window. period_start and
    period_end (excluded) are the month in both windows, so the two join; [window_start, window_end)
    are the days that count: of a trailing window the 90 that end with the month, or with `as_of`.
    Scores and rates are unrounded, and null where there is nothing to divide by.

    Which answers count is told at `_counted`, what is summed of them at `_by_account` and
    `_by_slice`, and what the columns mean at `_readings`.
    """
    rules = _rules(survey_types)
    received = (
        responses.pipe(_in_windows, "responded_date", as_of)
        .join(rules, on="survey_type")
        .with_columns(excluded=_exclusion())
    )
    counted = _counted(received, rules)
    sent = _sent(invitations, counted, as_of)
    return (
        _by_account(received, counted, sent)
        .join(rules, on="survey_type")
        .join(
            account_months.select("account_id", "period_start", "closing_mrr"),
            on=["account_id", "period_start"],
            how="left",
        )
        .pipe(_by_slice, slices)
        .join(rules, on="survey_type")
        .pipe(_readings, as_of, small_sample)
    )


def classes(responses: pl.LazyFrame, survey_types: pl.LazyFrame) -> pl.LazyFrame:
    """The rows of fct_survey_responses: one per answer, with its class by the rules of `scores`.

    Inputs as in `scores`. score_class is favourable, neutral or unfavourable; of an answer that
    does not count it is null, and `excluded` says why: test, blank, no_answer, out_of_scale, or
    unknown_survey where the seed does not name the survey. That a later answer of the same person
    supersedes one is a matter of the window, and not told here.
    """
    counts = pl.col("excluded").is_null()
    return (
        responses.join(_rules(survey_types), on="survey_type", how="left")
        .with_columns(
            excluded=pl.when(pl.col("metric").is_null())
            .then(pl.lit("unknown_survey"))
            .otherwise(_exclusion())
        )
        .select(
            "response_id",
            "survey_type",
            "metric",
            "account_id",
            pl.col("respondent_id").is_null().alias("is_anonymous"),
            "channel",
            "score",
            pl.when(counts & _is_favourable(pl.col("score")))
            .then(pl.lit("favourable"))
            .when(counts & _is_unfavourable(pl.col("score")))
            .then(pl.lit("unfavourable"))
            .when(counts)
            .then(pl.lit("neutral"))
            .alias("score_class"),
            "excluded",
            "is_high_good",
            "responded_at",
            "responded_date",
        )
        .sort("response_id")
    )


def _counted(received: pl.LazyFrame, rules: pl.LazyFrame) -> pl.LazyFrame:
    """The answers that count, of those in `received`, which has each once per window.

    Tests, blanks, "no answer" codes and answers off the scale go first, each counted under its
    reason; of the rest the latest per respondent, survey type and window stays, by (responded_at,
    response_id), whatever its account, and the others are `superseded`. Answers without a
    respondent all stay. answers = responses + superseded + the four excluded_ columns.
    """
    return (
        received.filter(pl.col("excluded").is_null())
        .with_columns(anonymous=pl.when(pl.col("respondent_id").is_null()).then("response_id"))
        .group_by(*_WINDOW, "respondent_id", "anonymous")
        .agg(
            pl.col("account_id", "responded_date", "score").max_by(
                pl.struct("responded_at", "response_id")
            )
        )
        .join(rules, on="survey_type")
    )


def _sent(invitations: pl.LazyFrame, counted: pl.LazyFrame, as_of: date) -> pl.LazyFrame:
    """Each invitation once per window in which it was sent, with the day of the answer that counts
    of its respondent there, if any."""
    return invitations.pipe(_in_windows, "sent_date", as_of).join(
        counted.select(*_WINDOW, "respondent_id", "responded_date"),
        on=[*_WINDOW, "respondent_id"],
        how="left",
    )


def _by_account(received: pl.LazyFrame, counted: pl.LazyFrame, sent: pl.LazyFrame) -> pl.LazyFrame:
    """The counts and sums of each window and account_id (nullable), and account_mean: the mean of
    the account's responses that have a respondent.

    An invitation is `answered` by an answer on or after the day of sending and inside the window.
    """
    is_named = pl.col("respondent_id").is_not_null()
    parts = [
        received.group_by(*_WINDOW, "account_id").agg(
            _count().alias("answers"),
            *(_count(pl.col("excluded") == r).alias(f"excluded_{r}") for r in EXCLUSIONS),
        ),
        counted.group_by(*_WINDOW, "account_id").agg(
            _count().alias("responses"),
            _count(_is_favourable(pl.col("score"))).alias("favourable"),
            _count(_is_unfavourable(pl.col("score"))).alias("unfavourable"),
            pl.col("score").cast(pl.Int64).sum().alias("score_sum"),
            _count(is_named).alias("named"),
            pl.col("score").cast(pl.Int64).filter(is_named).sum().alias("named_sum"),
        ),
        sent.group_by(*_WINDOW, "account_id").agg(
            _count().alias("invitations"),
            _count(pl.col("responded_date") >= pl.col("sent_date")).alias("answered"),
        ),
    ]
    return (
        pl.concat(parts, how="diagonal")
        .group_by(*_WINDOW, "account_id")
        .agg(pl.all().sum())
        .with_columns(account_mean=_ratio(pl.col("named_sum"), pl.col("named")))
    )


def _by_slice(accounts: pl.LazyFrame, slices: pl.LazyFrame) -> pl.LazyFrame:
    """The same per window and slice, and what the accounts with a reading sum up to.

    `accounts` is `_by_account` with its rules and closing_mrr. An account's reading is its mean,
    then its class; answers without an account or without a respondent stay out.
    """
    has_reading = pl.col("account_id").is_not_null() & pl.col("account_mean").is_not_null()
    is_favourable = has_reading & _is_favourable(pl.col("account_mean"))
    is_unfavourable = has_reading & _is_unfavourable(pl.col("account_mean"))
    mrr = pl.col("closing_mrr")
    return (
        accounts.select(
            *_WINDOW,
            "account_id",
            *_COUNTS,
            has_reading.cast(pl.Int64).alias("accounts"),
            is_favourable.cast(pl.Int64).alias("favourable_accounts"),
            is_unfavourable.cast(pl.Int64).alias("unfavourable_accounts"),
            pl.when(has_reading).then(mrr).alias("responding_mrr"),
            pl.when(is_favourable).then(mrr).alias("favourable_mrr"),
            pl.when(is_unfavourable).then(mrr).alias("unfavourable_mrr"),
        )
        .pipe(by_slice, slices)
        .drop("account_id")
        .group_by(*_WINDOW, "slice_dimension", "slice_value")
        .agg(pl.all().sum())
    )


def _readings(sums: pl.LazyFrame, as_of: date, small_sample: int) -> pl.LazyFrame:
    """The columns of mart_survey_scores from `_by_slice` with its rules.

    score: NPS is 100 x (p - d), in -100..100; CES and CSAT are 100 x p, p and d the favourable and
    unfavourable shares of all responses, neutral ones included. So CES has its two published
    readings side by side: `score` is the percentage that agrees, `mean_score` the mean, which stays
    on the survey's own scale, unturned. account_score is the same of the accounts' readings, and
    mrr_weighted_score weighs these by the MRR at the close of the month.
    ci_low, ci_high: the 95 % margin in the unit of score (see `_margin`).
    response_rate: the share of the invitations sent in the window that were answered in it.
    """
    n = pl.col("responses")
    low, high = _margin(pl.col("favourable"), pl.col("unfavourable"), n)
    return sums.select(
        "survey_type",
        "metric",
        "period_window",
        "slice_dimension",
        "slice_value",
        n,
        "favourable",
        (n - pl.col("favourable") - pl.col("unfavourable")).alias("neutral"),
        "unfavourable",
        _score("favourable", "unfavourable", "responses").alias("score"),
        _ratio(pl.col("score_sum"), n).alias("mean_score"),
        low.alias("ci_low"),
        high.alias("ci_high"),
        "invitations",
        "answered",
        _ratio(pl.col("answered"), pl.col("invitations")).alias("response_rate"),
        "accounts",
        "favourable_accounts",
        "unfavourable_accounts",
        _score("favourable_accounts", "unfavourable_accounts", "accounts").alias("account_score"),
        "responding_mrr",
        "favourable_mrr",
        "unfavourable_mrr",
        _score("favourable_mrr", "unfavourable_mrr", "responding_mrr").alias("mrr_weighted_score"),
        "answers",
        (pl.col("answers") - n - pl.sum_horizontal("^excluded_.*$")).alias("superseded"),
        "^excluded_.*$",
        pl.when(n == 0).then(pl.lit("no_data")).alias("reason_null"),
        "is_high_good",
        (n < small_sample).alias("is_small_sample"),
        (pl.col("period_end") <= as_of + timedelta(days=1)).alias("is_complete_period"),
        "period_start",
        "period_end",
        "window_start",
        "window_end",
    ).sort("survey_type", "period_window", "period_start", "slice_dimension", "slice_value")


def _rules(survey_types: pl.LazyFrame) -> pl.LazyFrame:
    """The seed with its "no answer" codes as numbers."""
    return survey_types.with_columns(
        no_answer_codes=pl.col("no_answer_codes")
        .cast(pl.String)
        .str.replace_all(" ", "")
        .str.split("|")
        .cast(pl.List(pl.Int64))
    )


def _in_windows(frame: pl.LazyFrame, day: str, as_of: date) -> pl.LazyFrame:
    """Each row once per window that holds its `day`, with the columns of that window."""
    days = pl.col("window_days")
    return (
        frame.join(pl.LazyFrame(_WINDOWS), how="cross")
        .with_columns(
            period_start=pl.col(day)
            .dt.month_start()
            .dt.offset_by(pl.format("{}mo", "months_later"))
        )
        .with_columns(period_end=pl.col("period_start").dt.offset_by("1mo"))
        .with_columns(window_end=pl.min_horizontal("period_end", as_of + timedelta(days=1)))
        .with_columns(
            window_start=pl.when(days.is_null())
            .then("period_start")
            .otherwise(pl.col("window_end") - pl.duration(days=days))
        )
        .filter(
            pl.col(day).is_between("window_start", "window_end", closed="left"),
            pl.col("period_start") <= as_of,
        )
    )


def _exclusion() -> pl.Expr:
    """Why an answer does not count, the first reason that holds; null for one that does."""
    score = pl.col("score").cast(pl.Int64)
    reasons = {
        "test": pl.col("is_test"),
        "blank": score.is_null(),
        "no_answer": pl.col("no_answer_codes").list.contains(score),
        "out_of_scale": ~score.is_between("scale_min", "scale_max"),
    }
    return pl.coalesce(pl.when(reasons[r]).then(pl.lit(r)) for r in EXCLUSIONS)


def _turned(score: pl.Expr) -> pl.Expr:
    """The answer on its own scale, turned so that high is good: what the thresholds of the seed
    apply to. On a 1-5 effort scale where low is good, favourable_from 4 means the raw answers 1 and
    2."""
    mirrored = pl.col("scale_min") + pl.col("scale_max") - score
    return pl.when("is_high_good").then(score).otherwise(mirrored)


def _is_favourable(score: pl.Expr) -> pl.Expr:
    return _turned(score) >= pl.col("favourable_from")


def _is_unfavourable(score: pl.Expr) -> pl.Expr:
    return _turned(score) <= pl.col("unfavourable_to")


def _count(condition: pl.Expr | None = None) -> pl.Expr:
    """Rows, or rows where a condition holds, as a signed integer: counts are subtracted later, and
    Polars' unsigned ones would turn -1 into 4,294,967,295."""
    return (pl.len() if condition is None else condition.sum()).cast(pl.Int64)


def _ratio(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """A quotient in floating point; null, not infinite, over zero."""
    divisor = denominator.cast(pl.Float64)
    return pl.when(divisor != 0).then(numerator.cast(pl.Float64) / divisor)


def _detraction() -> pl.Expr:
    """1 where unfavourable answers count against the score (NPS), 0 where only shares matter."""
    return (pl.col("metric") == "nps").cast(pl.Int64)


def _score(favourable: str, unfavourable: str, of: str) -> pl.Expr:
    net = pl.col(favourable) - _detraction() * pl.col(unfavourable)
    return 100 * _ratio(net, pl.col(of))


def _margin(favourable: pl.Expr, unfavourable: pl.Expr, n: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """Both ends of the 95 % interval of the score.

    Wilson, E. B. (1927), JASA 22: 209-212, for shares; for NPS the normal interval with the
    variance p + d - (p - d)^2 of one answer in {-1, 0, 1}, cut at the ends of the scale.
    """
    p, d = _ratio(favourable, n), _ratio(unfavourable, n)
    normal = Z_95 * ((p + d - (p - d) ** 2) / n).sqrt()
    centre = (p + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    wilson = Z_95 * (p * (1 - p) / n + Z_95**2 / (4 * n**2)).sqrt() / (1 + Z_95**2 / n)

    def end(sign: int) -> pl.Expr:
        of_nps = (p - d + sign * normal).clip(-1, 1)
        of_share = (centre + sign * wilson).clip(0, 1)
        return 100 * pl.when(_detraction() == 1).then(of_nps).otherwise(of_share)

    return end(-1), end(1)
