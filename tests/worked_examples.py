"""Small worlds with answers that a person can check, as data for any implementation.

Belongs here: the worked examples of METRICS section 2 and the faults of section 4 that the revenue
marts cover, each with the mart rows it expects. Does not belong here: how a mart is computed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from oracle import Policies, Row, World
from rows import cancellation, subscription

Selector = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A world and the cells that one row of a mart must show.

    `where` picks exactly one row; sliced marts are read at the total unless it says otherwise.
    """

    name: str
    world: World
    mart: str
    where: Selector
    expected: dict[str, Any]
    policies: Policies = field(default_factory=Policies)


def bridge_of(month: date) -> Selector:
    return {"slice_dimension": "total", "period_start": month}


def retention_of(month: date, window: int) -> Selector:
    return bridge_of(month) | {"window_months": window}


def moves(
    before: dict[str, int], after: dict[str, int], month: date = date(2024, 2, 1)
) -> list[Row]:
    """Accounts at one price since 1 January 2024, and at another from the 10th of `month`."""
    change, start = month.replace(day=10), date(2024, 1, 1)
    rows: list[Row] = []
    for name in sorted(before | after):
        old, new = before.get(name, 0), after.get(name, 0)
        if old:
            end = None if old == new else change
            rows.append(subscription(f"S-{name}", start, end, amount=old, account_id=name))
        if new and new != old:
            rows.append(subscription(f"S-{name}", change, amount=new, account_id=name))
    return rows


def february(before: dict[str, int], after: dict[str, int]) -> World:
    return World(date(2024, 2, 29), subscriptions=moves(before, after))


JAN, FEB, MAR, APR, MAY, JUN = (date(2024, month, 1) for month in range(1, 7))

FIVE_MOVEMENTS = World(
    date(2025, 4, 30),
    subscriptions=[
        subscription(
            "yearly",
            date(2024, 1, 10),
            date(2025, 1, 10),
            amount=500,
            quantity=4,
            billing_interval="year",
            cancel_requested_at=datetime(2024, 6, 5),
        ),
        subscription("second", date(2024, 2, 5), date(2024, 3, 20), amount=30),
        subscription("third", date(2024, 2, 6), date(2024, 3, 20), amount=30),
        subscription("again", date(2025, 4, 2), amount=50, quantity=3),
    ],
)
REVENUE_CHURN = february({"A": 10, "B": 50, "C": 40}, {"B": 40, "C": 50})
TWELVE_LEAVE = World(
    FEB.replace(day=29),
    subscriptions=[
        *(subscription(f"S{n}", JAN, account_id=f"stays{n:02}") for n in range(89)),
        *(
            subscription(f"L{n}", JAN, date(2024, 2, 14), account_id=f"leaves{n:02}")
            for n in range(10)
        ),
        subscription("R", JAN, date(2024, 2, 2), account_id="returns"),
        subscription("R", date(2024, 2, 20), account_id="returns"),
        subscription("J", date(2024, 2, 3), date(2024, 2, 12), account_id="joins"),
    ],
)
TWO_SUBSCRIPTIONS_CANCELLED = World(
    date(2024, 3, 31),
    subscriptions=[
        subscription("one", JAN, date(2024, 2, 10), amount=30),
        subscription("two", JAN, date(2024, 3, 10), amount=20),
    ],
)
CANCELLED_8_JUNE = World(
    date(2024, 6, 30),
    subscriptions=[
        subscription(
            "S",
            date(2024, 4, 15),
            date(2024, 6, 15),
            amount=10,
            cancel_requested_at=datetime(2024, 6, 8),
        )
    ],
)
SAME_MONTH_LIFE = World(
    date(2024, 12, 31),
    subscriptions=[subscription("S", date(2024, 12, 5), date(2024, 12, 6))],
)
LAST_PERIOD_MAY_15_TO_JUNE_15 = World(
    date(2024, 6, 30), subscriptions=[subscription("S", APR.replace(day=15), date(2024, 6, 15))]
)
FOUR_ACCOUNTS = february({"A": 500, "B": 1200, "C": 800, "D": 300}, {"A": 650, "B": 1000, "D": 300})
TWELVE_MONTHS_LATER = World(
    date(2025, 1, 31),
    subscriptions=moves({"A": 500, "B": 300, "C": 200}, {"A": 900, "C": 150}, date(2024, 11, 1)),
)
QUICK = february(
    {"grows": 10_000, "shrinks": 10_000, "goes": 5_000},
    {"grows": 18_000, "shrinks": 7_000, "comes": 20_000},
)

WORKED_EXAMPLES = [
    Example(
        "01 four yearly plans of 2,000 in all are new MRR of 166.67",
        FIVE_MOVEMENTS,
        "mart_mrr_bridge",
        bridge_of(JAN),
        {"new_mrr": Decimal("166.666667"), "new_accounts": 1, "closing_accounts": 1},
    ),
    Example(
        "02 two more subscriptions are an expansion of 60",
        FIVE_MOVEMENTS,
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"expansion_mrr": Decimal(60), "expanded_accounts": 1, "new_mrr": Decimal(0)},
    ),
    Example(
        "03 losing these two again is a contraction of 60 and no churn",
        FIVE_MOVEMENTS,
        "mart_mrr_bridge",
        bridge_of(MAR),
        {"contraction_mrr": Decimal(60), "contracted_accounts": 1, "churned_mrr": Decimal(0)},
    ),
    Example(
        "04 a paid-up yearly plan cancelled in June is not lost in June",
        FIVE_MOVEMENTS,
        "mart_mrr_bridge",
        bridge_of(JUN),
        {"churned_mrr": Decimal(0), "churned_accounts": 0, "closing_accounts": 1},
    ),
    Example(
        "04 a paid-up yearly plan cancelled in June is lost when the year ends",
        FIVE_MOVEMENTS,
        "mart_mrr_bridge",
        bridge_of(date(2025, 1, 1)),
        {"churned_mrr": Decimal("166.666667"), "churned_accounts": 1, "closing_accounts": 0},
    ),
    Example(
        "05 three plans of 50 after a while away are a reactivation of 150, not an expansion",
        FIVE_MOVEMENTS,
        "mart_mrr_bridge",
        bridge_of(date(2025, 4, 1)),
        {
            "reactivation_mrr": Decimal(150),
            "reactivated_accounts": 1,
            "expansion_mrr": Decimal(0),
            "new_mrr": Decimal(0),
        },
    ),
    Example(
        "06 and 07 gross revenue churn is 20 % and net is 10 %",
        REVENUE_CHURN,
        "mart_churn_scoreboard",
        bridge_of(FEB),
        {"gross_revenue_churn_rate": 0.2, "net_revenue_churn_rate": 0.1},
    ),
    Example(
        "08 net revenue churn from 100 to 120 with 10 new is -10 %",
        february({"A": 100}, {"A": 110, "B": 10}),
        "mart_churn_scoreboard",
        bridge_of(FEB),
        {"net_revenue_churn_rate": -0.1},
    ),
    Example(
        "09 of 12 who left one returned and one joined in the month, so 10 of 100 churned",
        TWELVE_LEAVE,
        "mart_churn_scoreboard",
        bridge_of(FEB),
        {"logo_churn_rate": 0.1},
    ),
    Example(
        "12 a hundred at 100 a month and fifty at 600 a year make 12,500",
        World(
            date(2024, 1, 31),
            subscriptions=[
                subscription("M", JAN, quantity=100),
                subscription(
                    "Y", JAN, amount=600, quantity=50, billing_interval="year", account_id="B"
                ),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(JAN),
        {"closing_mrr": Decimal(12_500)},
    ),
    Example(
        "13 1,200 a year is 100",
        World(
            date(2024, 1, 31),
            subscriptions=[subscription("Y", JAN, amount=1200, billing_interval="year")],
        ),
        "mart_mrr_bridge",
        bridge_of(JAN),
        {"closing_mrr": Decimal(100)},
    ),
    Example(
        "14 the first of two subscriptions to go is a downgrade",
        TWO_SUBSCRIPTIONS_CANCELLED,
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"contraction_mrr": Decimal(30), "churned_mrr": Decimal(0), "churned_accounts": 0},
    ),
    Example(
        "14 the second of two subscriptions to go is churn",
        TWO_SUBSCRIPTIONS_CANCELLED,
        "mart_mrr_bridge",
        bridge_of(MAR),
        {"contraction_mrr": Decimal(0), "churned_mrr": Decimal(20), "churned_accounts": 1},
    ),
    Example(
        "15 120 a year less 10 % is 9.00",
        World(
            date(2024, 1, 31),
            subscriptions=[
                subscription(
                    "Y", JAN, amount=120, billing_interval="year", discount_percent=Decimal(10)
                )
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(JAN),
        {"closing_mrr": Decimal(9)},
    ),
    Example(
        "16 a cancellation of 8 June takes effect when the paid time ends on 15 June",
        CANCELLED_8_JUNE,
        "mart_survival_curve",
        {"slice_dimension": "total", "subject": "logo"},
        {"age_days": 61, "events": 1, "survival": 0.0},
    ),
    Example(
        "16 a cancellation of 8 June loses the 10 in June",
        CANCELLED_8_JUNE,
        "mart_mrr_bridge",
        bridge_of(JUN),
        {"churned_mrr": Decimal(10), "churned_accounts": 1},
    ),
    Example(
        "17 joining on 5 and leaving on 6 December is neither new nor churn at the close",
        SAME_MONTH_LIFE,
        "mart_mrr_bridge",
        bridge_of(date(2024, 12, 1)),
        {
            "new_mrr": Decimal(0),
            "new_accounts": 0,
            "churned_mrr": Decimal(0),
            "churned_accounts": 0,
            "closing_mrr": Decimal(0),
        },
    ),
    Example(
        "18 a last period from 15 May to 15 June counts in May",
        LAST_PERIOD_MAY_15_TO_JUNE_15,
        "mart_mrr_bridge",
        bridge_of(MAY),
        {"closing_mrr": Decimal(100), "churned_accounts": 0},
    ),
    Example(
        "18 a last period from 15 May to 15 June is churned in June",
        LAST_PERIOD_MAY_15_TO_JUNE_15,
        "mart_mrr_bridge",
        bridge_of(JUN),
        {"closing_mrr": Decimal(0), "churned_accounts": 1},
    ),
    Example(
        "19 NRR is 1,950 and GRR 1,800 of 2,800",
        FOUR_ACCOUNTS,
        "mart_retention_nrr_grr",
        retention_of(FEB, 1),
        {
            "nrr": 0.696428571,
            "grr": 0.642857143,
            "logo_retention_rate": 0.75,
            "cohort_accounts": 4,
            "retained_accounts": 3,
            "opening_mrr": Decimal(2800),
            "closing_mrr_of_cohort": Decimal(1950),
            "is_small_sample": True,
            "reason_null": None,
        },
    ),
    Example(
        "20 200k less 6k churn, less 4k contraction, plus 20k expansion: NRR 105 %, GRR 95 %",
        february(
            {"goes": 6_000, "shrinks": 94_000, "grows": 100_000},
            {"shrinks": 90_000, "grows": 120_000},
        ),
        "mart_retention_nrr_grr",
        retention_of(FEB, 1),
        {"nrr": 1.05, "grr": 0.95},
    ),
    Example(
        "21 100k plus 15k, less 3k, less 5k: NRR 107 %",
        february(
            {"grows": 50_000, "shrinks": 45_000, "goes": 5_000},
            {"grows": 65_000, "shrinks": 42_000},
        ),
        "mart_retention_nrr_grr",
        retention_of(FEB, 1),
        {"nrr": 1.07},
    ),
    Example(
        "22 the cohort of a year ago keeps 105 %, not the 150 % of its survivors",
        TWELVE_MONTHS_LATER,
        "mart_retention_nrr_grr",
        retention_of(date(2025, 1, 1), 12),
        {"nrr": 1.05, "grr": 0.65, "cohort_accounts": 3, "retained_accounts": 2},
    ),
    Example(
        "23 the quick ratio of 20k and 8k over 5k and 3k is 3.5",
        QUICK,
        "mart_mrr_bridge",
        bridge_of(FEB),
        {
            "new_mrr": Decimal(20_000),
            "expansion_mrr": Decimal(8_000),
            "churned_mrr": Decimal(5_000),
            "contraction_mrr": Decimal(3_000),
            "quick_ratio": 3.5,
        },
    ),
    Example(
        "23 without losses there is no quick ratio",
        february({"A": 100}, {"A": 200}),
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"quick_ratio": None},
    ),
]

FAULTS = [
    Example(
        "fault 1 a trial counts nothing, though its row has a price",
        World(
            date(2024, 1, 31),
            subscriptions=[
                subscription("T", JAN, status="trialing", account_id="B"),
                subscription("S", JAN, amount=40),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(JAN),
        {"closing_mrr": Decimal(40), "closing_accounts": 1},
    ),
    Example(
        "fault 1 past due counts for 30 days only",
        World(
            date(2024, 3, 31),
            subscriptions=[
                subscription("S", JAN, date(2024, 2, 10)),
                subscription("S", date(2024, 2, 10), status="past_due"),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(MAR),
        {"churned_mrr": Decimal(100), "churned_accounts": 1},
    ),
    Example(
        "fault 2 a month in which nothing happens has its row",
        World(date(2024, 3, 31), subscriptions=[subscription("S", JAN)]),
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"opening_mrr": Decimal(100), "closing_mrr": Decimal(100)},
    ),
    Example(
        "fault 2 a month with no customer left has its row",
        World(date(2024, 4, 30), subscriptions=[subscription("S", JAN, date(2024, 2, 10))]),
        "mart_mrr_bridge",
        bridge_of(APR),
        {"opening_mrr": Decimal(0), "closing_mrr": Decimal(0), "closing_accounts": 0},
    ),
    Example(
        "fault 5 a free trial beside a paid subscription is no churn",
        World(
            date(2024, 2, 29),
            subscriptions=[
                subscription("S", JAN),
                subscription("T", date(2024, 2, 5), amount=0, status="trialing"),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"closing_mrr": Decimal(100), "churned_accounts": 0},
    ),
    Example(
        "fault 5 where trials are let in and the latest start wins, that trial is churn",
        World(
            date(2024, 2, 29),
            subscriptions=[
                subscription("S", JAN),
                subscription("T", date(2024, 2, 5), amount=0, status="trialing"),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"closing_mrr": Decimal(0), "churned_accounts": 1},
        Policies(account_mrr_policy="latest_start", trial_policy="include"),
    ),
    Example(
        "fault 7 an open subscription after a closed one lives to the data's edge without churn",
        World(
            date(2024, 3, 15),
            subscriptions=[
                subscription("S", JAN, date(2024, 2, 10)),
                subscription("S", date(2024, 2, 10), amount=120),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(MAR),
        {"closing_mrr": Decimal(120), "churned_accounts": 0, "is_complete_period": False},
    ),
    Example(
        "fault 9 an upgrade by replacing the subscription is expansion, not churn and new",
        World(
            date(2024, 2, 29),
            subscriptions=[
                subscription("old", JAN, date(2024, 2, 10)),
                subscription("new", date(2024, 2, 10), amount=150),
            ],
        ),
        "mart_mrr_bridge",
        bridge_of(FEB),
        {"expansion_mrr": Decimal(50), "churned_accounts": 0, "new_accounts": 0},
    ),
    Example(
        "a grace that was over before the row became past due is involuntary churn",
        World(
            date(2024, 3, 31),
            subscriptions=[
                subscription("S", JAN, date(2024, 3, 10)),
                subscription(
                    "S", date(2024, 3, 10), status="past_due", past_due_since=datetime(2024, 2, 1)
                ),
            ],
        ),
        "mart_churn_scoreboard",
        bridge_of(MAR),
        {"involuntary_churned_accounts": 1, "unknown_reason_churned_accounts": 0},
    ),
    *(
        Example(
            f"without any grace what ends unpaid is involuntary churn, {policies.mrr_snapshot}",
            World(
                date(2024, 4, 30),
                subscriptions=[
                    subscription("S", JAN, date(2024, 3, 10)),
                    subscription(
                        "S",
                        date(2024, 3, 10),
                        status="past_due",
                        past_due_since=datetime(2024, 3, 10),
                    ),
                ],
            ),
            "mart_churn_scoreboard",
            bridge_of(month),
            {"involuntary_churned_accounts": 1, "unknown_reason_churned_accounts": 0},
            policies,
        )
        for policies, month in (
            (Policies(past_due_grace_days=0), MAR),
            (Policies(past_due_grace_days=0, mrr_snapshot="any_time"), APR),
        )
    ),
    Example(
        "a row that the cancellation opened has ended where cancelling ends it",
        World(
            date(2024, 4, 30),
            subscriptions=[
                subscription("S", JAN, date(2024, 3, 5)),
                subscription("S", date(2024, 3, 5), APR, status="canceled"),
            ],
            cancellations=[cancellation(date(2024, 3, 5), subscription_id="S", is_voluntary=True)],
        ),
        "mart_churn_scoreboard",
        bridge_of(MAR),
        {"voluntary_churned_accounts": 1, "logo_churn_rate": 1.0},
        Policies(churn_recognition="cancel_effective"),
    ),
    Example(
        "a subscription without a known start, sent as 1900, counts west of Greenwich too",
        World(
            date(2024, 1, 31),
            subscriptions=[subscription("S", date(1900, 1, 1)), subscription("T", JAN)],
        ),
        "mart_mrr_bridge",
        bridge_of(JAN),
        {"closing_mrr": Decimal(200)},
        Policies(reporting_timezone="America/New_York"),
    ),
]

# Columns beyond those that the oracle computes.
FURTHER_COLUMNS = [
    Example(
        "24 ten percent over a quarter is 3.4511 % a month and 34.39 % a year",
        World(
            date(2024, 4, 30),
            subscriptions=[
                subscription(
                    f"S{index}",
                    JAN,
                    date(2024, 3, 10) if index == 0 else None,
                    account_id=f"A{index}",
                )
                for index in range(10)
            ],
        ),
        "mart_retention_nrr_grr",
        retention_of(APR, 3),
        {
            "logo_retention_rate": 0.9,
            "monthly_logo_churn_rate": 0.034511,
            "annual_logo_churn_rate": 0.3439,
        },
    ),
    Example(
        "the ten largest of twelve accounts hold 100 of 102",
        World(
            date(2024, 1, 31),
            subscriptions=[
                subscription(f"S{index}", JAN, account_id=f"A{index}", amount=amount)
                for index, amount in enumerate([55, 1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 1])
            ],
        ),
        "mart_portfolio_growth",
        bridge_of(JAN),
        {"largest_10_mrr": Decimal(100), "revenue_concentration": 100 / 102},
    ),
    Example(
        "who leaves on the 90th day is late, a day before early; 29 days are short of a month",
        World(
            date(2024, 2, 29),
            subscriptions=[
                subscription("L", date(2023, 11, 15), date(2024, 2, 13), account_id="L"),
                subscription("E", date(2023, 11, 16), date(2024, 2, 13), account_id="E"),
                subscription("S", JAN, account_id="S"),
                subscription("T", JAN, account_id="T"),
            ],
        ),
        "mart_churn_scoreboard",
        bridge_of(FEB),
        {
            "early_churned_accounts": 1,
            "late_churned_accounts": 1,
            "day_scaled_logo_churn_rate": 0.516649,
        },
    ),
    Example(
        "who left and came back within the window is dropped from GRR and logo retention",
        World(
            date(2024, 4, 30),
            subscriptions=[
                subscription("S", JAN, amount=300, account_id="S"),
                subscription("B", JAN, date(2024, 2, 10), amount=100, account_id="B"),
                subscription("B", date(2024, 4, 5), amount=150, account_id="B"),
            ],
        ),
        "mart_retention_nrr_grr",
        retention_of(APR, 3),
        {
            "nrr": 1.125,
            "grr": 1.0,
            "logo_retention_rate": 1.0,
            "nrr_without_reactivation": 0.75,
            "grr_without_reactivation": 0.75,
            "logo_retention_without_reactivation_rate": 0.5,
        },
    ),
    Example(
        "40 the average over cohorts is weighted by size and includes those of which none is left",
        World(
            date(2024, 3, 31),
            subscriptions=[
                *(subscription(f"S{n}", JAN, account_id=f"S{n}") for n in range(3)),
                subscription("F", FEB, date(2024, 3, 10), account_id="F"),
            ],
        ),
        "mart_cohort_retention",
        {"basis": "logo", "cohort_start": JAN, "age_months": 1},
        {
            "retention_rate": 1.0,
            "retention_from_previous_rate": 1.0,
            "average_retention_rate": 0.75,
        },
    ),
    Example(
        "seats that nobody paid for are no seat churn",
        World(
            date(2024, 3, 31),
            subscriptions=[
                subscription("S", JAN, quantity=5),
                subscription("free", JAN, date(2024, 3, 10), amount=0, quantity=100),
            ],
        ),
        "mart_churn_scoreboard",
        bridge_of(MAR),
        {"seat_churn_rate": 0.0, "opening_seats": 5},
    ),
    Example(
        "the survival band is undefined once nobody is left",
        World(date(2024, 3, 31), subscriptions=[subscription("S", JAN, date(2024, 2, 10))]),
        "mart_survival_curve",
        {"subject": "logo", "age_days": 40},
        {"survival": 0.0, "ci_low": None, "ci_high": None},
    ),
]
