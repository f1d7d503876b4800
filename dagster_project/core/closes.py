"""The ledger of monthly closes: what each metric of a month was when the month was closed.

    closes/<release_id>.parquet     the closes that came with one release; never edited
    closes/empty.parquet            no rows, so that the glob over the folder is always typed

A close is committed by the release it came with: it is written into the release's own folder, and
copied from there once that release is the current one. So a close that analysts never saw is never
in the ledger, and one that a kill kept out of it is copied by the next build. The marts are a pure
function of the landed files and the policies but for this ledger.

How the ledger is read is dbt's matter.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_project.core.engine import literal
from dagster_project.core.lake import Lake

if TYPE_CHECKING:
    import duckdb

CLOSES = "closes.parquet"

# One row per metric, period and slice; the facts behind them are what a later difference is put
# down to: the rule, the policies, and which attempts at extraction had been made.
_NEW_CLOSES = """
    with closed as (
        select distinct metric_name, period_grain, period_start
        from read_parquet({ledger}, union_by_name = true)
    ),

    state as (
        select
            (select as_of_date from warehouse.intermediate.int_quality__as_of) as measured_at,
            (select max(seq) from warehouse.staging.stg_lake__extractions) as ledger_seq,
    )

    select
        metric_name,
        period_grain,
        period_start,
        slice_dimension,
        slice_value,
        mart_metrics.numerator,
        mart_metrics.denominator,
        mart_metrics.value,
        mart_metric_definitions.definition_version,
        mart_metric_definitions.policies,
        measured_at,
        ledger_seq,
        '{release_id}' as release_id,
    from warehouse.marts.mart_metrics
    inner join warehouse.marts.mart_metric_definitions using (metric_name)
    cross join state
    anti join closed using (metric_name, period_grain, period_start)
    where is_complete_period and measured_at >= {closes_on}
    order by all
"""
# The n-th day after the period that is no Saturday or Sunday; 0 is the period's last day.
_CLOSES_ON = """
    coalesce(
        list_filter(
            range(period_end, period_end + interval 3 month, interval 1 day),
            lambda day: isodow(day) <= 5
        )[{business_day}],
        period_end - 1
    )
"""
_EMPTY = """
    select
        null::varchar as metric_name,
        null::varchar as period_grain,
        null::date as period_start,
        null::varchar as slice_dimension,
        null::varchar as slice_value,
        null::decimal(38, 6) as numerator,
        null::decimal(38, 6) as denominator,
        null::double as value,
        null::varchar as definition_version,
        null::varchar as policies,
        null::date as measured_at,
        null::bigint as ledger_seq,
        null::varchar as release_id,
    where false
"""


def ready(lake: Lake) -> None:
    """Make the ledger readable and whole: typed, and with the closes of the current release."""
    if not (empty := lake.closes / "empty.parquet").exists():
        import duckdb

        with lake.replacing(empty) as file, duckdb.connect() as db:
            db.execute(f"copy ({_EMPTY}) to {literal(str(file))} (format parquet)")
    commit(lake)


def commit(lake: Lake) -> None:
    """Take the closes of the current release into the ledger, unless they are in it already."""
    release = (lake.published / "current").resolve()
    committed = lake.closes / f"{release.name}.parquet"
    if (release / CLOSES).exists() and not committed.exists():
        with lake.replacing(committed) as file:
            shutil.copyfile(release / CLOSES, file)


def write_new(
    lake: Lake,
    release_id: str,
    business_day: int,
    db: "duckdb.DuckDBPyConnection",
    folder: Path,
) -> None:
    """Write what the release in `folder` closes, if anything: months that no earlier release closed
    for the metric, once the as-of day is that business day after them (Monday to Friday, from 1).

    `db` has the built warehouse attached as `warehouse`.
    """
    ready(lake)
    new = _NEW_CLOSES.format(
        ledger=literal(str(lake.closes / "*.parquet")),
        release_id=release_id,
        closes_on=_CLOSES_ON.format(business_day=business_day),
    )
    target = folder / CLOSES
    copied = db.execute(f"copy ({new}) to {literal(str(target))} (format parquet)").fetchone()
    if copied == (0,):
        target.unlink()
