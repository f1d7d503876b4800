"""What a measured process does: `python -m bench.tasks NAME key=value ...`.

The last line it prints is its answer as JSON: counts and checksums that must agree with those of
its peers, and `seconds` where less than the whole process is meant. A task imports what it needs
itself, because its imports are part of what a user waits for.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import duckdb

    from dagster_project.core.exports import Export

HERE = Path(__file__).resolve().parent
DBT_DIR = HERE.parent / "dbt"
AS_OF_END = "2025-07-01"
BRIDGE = [
    "opening_mrr",
    "new_mrr",
    "reactivation_mrr",
    "expansion_mrr",
    "contraction_mrr",
    "churned_mrr",
    "closing_mrr",
    "opening_accounts",
    "new_accounts",
    "reactivated_accounts",
    "churned_accounts",
    "closing_accounts",
]
ROLLUP = ["events", "logins", "key_actions", "sessions", "active_users", "minutes"]
Answer = dict[str, Any]


def checksums(
    db: "duckdb.DuckDBPyConnection", name: str, table: str, keys: str, measures: list[str]
) -> Answer:
    """Of each measure its sum, and its sum weighted by a hash of the keys: who has what counts."""
    weight = f"(hash(concat_ws('/', {keys})) % 997)::double"
    sums = ", ".join(
        f"coalesce(sum({m}), 0)::double, coalesce(sum({m}::double * {weight}), 0)" for m in measures
    )
    [found] = db.execute(f"select {sums} from {table}").fetchall()
    names = [f"{name}.{measure}{mark}" for measure in measures for mark in ("", "*")]
    return dict(zip(names, found, strict=True))


def bridge_checksums(db: "duckdb.DuckDBPyConnection", bridge: str, cohorts: str) -> Answer:
    month = "strftime(period_start::date, '%Y-%m')"
    cohort = f"basis, strftime(cohort_start::date, '%Y-%m'), {month}"
    return checksums(
        db, "bridge", bridge, f"slice_dimension, slice_value, {month}", BRIDGE
    ) | checksums(db, "cohorts", cohorts, cohort, ["value"])


def rollup_checksums(db: "duckdb.DuckDBPyConnection", table: str) -> Answer:
    keys = "account_id, strftime(occurred_date::date, '%Y-%m-%d')"
    return checksums(db, "rollup", table, keys, ROLLUP)


# --- Line 1: one landing file to one Parquet ------------------------------------------------------


def copy_csv(csv: str, target: str) -> Answer:
    """The floor: DuckDB's own COPY with the types of the contract, nothing checked."""
    db = _duckdb()
    [(rows,)] = db.execute(
        f"copy (select *, date '2025-06-30' as landing_date from {_typed_csv(csv)})"
        f" to '{target}' (format parquet, compression zstd)"
    ).fetchall()
    return {"rows": rows}


def extract(data_dir: str, export: str = "product/events", keys: str = "yes") -> Answer:
    """Extraction of every landed day of an export; without the accounting of keys if keys=no."""
    from dagster_project.core import extraction

    if keys == "no":
        extraction.Extractor._keys = _rows_written  # type: ignore[assignment]
    return _extracted(data_dir, [export])


def _rows_written(extractor: Any, _: "Export") -> int:
    [(rows,)] = extractor._query(f"select count(*) from '{extractor._data}'")
    return int(rows)


def extract_all(data_dir: str, only: str = "") -> Answer:
    """Extraction of every landed day of every export (or of one), each with its empty table."""
    return _extracted(data_dir, [only] if only else None, empty=True)


def _extracted(data_dir: str, names: list[str] | None, *, empty: bool = False) -> Answer:
    from dagster_project.core.extraction import Extractor
    from dagster_project.core.lake import Lake
    from dagster_project.core.ledger import read_ledger
    from dagster_project.core.staleness import stale_days

    lake, rules, answer = Lake(Path(data_dir)), _rules(), {"days": 0, "rows": 0, "rejected": 0}
    with Extractor(lake, rules) as extractor:
        for name, export in _exports().items():
            if empty:
                extractor.ensure_empty(export)
            if names and name not in names:
                continue
            for day in stale_days(export, lake, read_ledger(lake), rules):
                line = extractor.extract_day(export, day)
                if not line.is_ok:
                    raise RuntimeError(f"{name} of {day}: {line.error}")
                answer["days"] += 1
                answer["rows"] += line.rows_accepted
                answer["rejected"] += line.rows_rejected
    return answer


# --- Line 2: landing to published -----------------------------------------------------------------


def floor(data_dir: str, models: str) -> Answer:
    """Landing to Parquet to the same marts in one DuckDB connection (floor.sql): nothing checked,
    no Dagster, no dbt.

    The two large exports are read from landing. The small ones (planted faults and all), the ledger
    and what Polars derives are taken as the project left them: that only lowers the floor.
    """
    folder = Path(data_dir, "floor")
    folder.mkdir(exist_ok=True)
    db, paths = _duckdb(), {}
    for export in ("product/events", "billing/subscriptions"):
        [csv] = Path(data_dir, "landing", export).glob("*.csv")
        target = folder / f"{export.replace('/', '_')}.parquet"
        paths[f"{data_dir}/raw/{export}/*/*.parquet"] = str(target)
        source = _typed_csv(str(csv), export)
        with _timed(export):
            _run_file(db, "floor.sql", source=source, target=target, day=csv.stem)
    db = _run_models(models, paths)
    return _marts_checksums(db)


def published(data_dir: str) -> Answer:
    import duckdb

    return _marts_checksums(duckdb.connect(f"{data_dir}/warehouse.duckdb", read_only=True))


def _marts_checksums(db: "duckdb.DuckDBPyConnection") -> Answer:
    """Rows of every mart and the sum of each of its numbers, but for what earlier releases said."""
    columns = db.execute(
        "select table_name, column_name, data_type from duckdb_columns()"
        " where schema_name = 'marts' and table_name <> 'mart_metric_restatement' order by all"
    ).fetchall()
    answer: Answer = {}
    for mart in sorted({mart for mart, _, _ in columns}):
        numbers = [
            name
            for table, name, kind in columns
            if table == mart
            and kind.startswith(("DECIMAL", "BIGINT", "INTEGER", "HUGEINT", "DOUBLE"))
            and not kind.endswith("]")
        ]
        sums = "".join(f', coalesce(sum("{name}"), 0)::double' for name in numbers)
        [found] = db.execute(f"select count(*){sums} from marts.{mart}").fetchall()
        answer |= {
            f"{mart}.{name}": value for name, value in zip(("rows", *numbers), found, strict=True)
        }
    return answer


# --- Line 4: a backfill through Dagster -----------------------------------------------------------


def backfill(first: str, last: str) -> Answer:
    """One run over chosen days of the events, as the dialog in the UI starts it."""
    from dagster_project.night import Backfill

    chosen = Backfill(date.fromisoformat(first), date.fromisoformat(last), ["product/events"])
    return _execute("extract", chosen.exports, chosen.tags)


def build() -> Answer:
    """The run that follows an extraction: dbt, Polars, checks, publishing."""
    return _execute("build_and_publish", None, {})


def _execute(job: str, assets: Sequence[str] | None, tags: dict[str, str]) -> Answer:
    import dagster as dg

    from dagster_project import settings
    from dagster_project.instance import prepare_home

    prepare_home(settings.current())
    from dagster_project.definitions import definitions

    with dg.DagsterInstance.get() as instance:
        done = (
            definitions()
            .resolve_job_def(job)
            .execute_in_process(
                asset_selection=[dg.AssetKey(a.split("/")) for a in assets] if assets else None,
                instance=instance,
                tags=tags,
            )
        )
    return {"steps": len(done.get_step_success_events()), "failed": int(not done.success)}


# --- The rollup of events to account and day ------------------------------------------------------


def rollup_ours(data_dir: str, models: str, source: str) -> Answer:
    """From the landed CSV (source=csv) or raw Parquet: the project's own way, all its grains."""
    if source == "csv":
        # The accounts date the build, and what never arrived is an empty table.
        extract(data_dir, "crm/accounts")
        extract_all(data_dir, "product/events")
    db = _run_models(models)
    return rollup_checksums(db, "intermediate.int_usage__account_days")


def rollup_duckdb(path: str) -> Answer:
    db = _duckdb()
    db.execute(
        f"create view events as from {_typed_csv(path) if path.endswith('csv') else _q(path)}"
    )
    _run_file(db, "rollup.sql", **_policies())
    return rollup_checksums(db, "rollup")


def rollup_pandas(path: str) -> Answer:
    import pandas as pd

    columns = ["event_id", "account_id", "user_id", "event_name", "occurred_at", "session_id"]
    columns.append("duration_seconds")
    if path.endswith("csv"):
        events = pd.read_csv(path, usecols=columns, parse_dates=["occurred_at"])
    else:
        events = pd.read_parquet(path, columns=columns)
    policies = _policies()
    events["occurred_date"] = events["occurred_at"].dt.normalize()
    events = events.sort_values(["account_id", "session_id", "occurred_at", "event_id"])
    following = events.groupby(["account_id", "session_id", "occurred_date"])["occurred_at"].shift(
        -1
    )
    gap = (following - events["occurred_at"]).dt.total_seconds()
    gap = gap.where(gap <= 60 * policies["session_idle_minutes"], 0)
    events["minutes"] = events["duration_seconds"].fillna(gap).fillna(0) / 60
    events["logins"] = events["event_name"] == policies["login_event"]
    events["key_actions"] = events["event_name"] == policies["key_event"]
    day = ["account_id", "occurred_date"]
    users = events.groupby([*day, "user_id"], dropna=False)["minutes"].sum().reset_index()
    known = users["user_id"].notna()
    users.loc[known, "minutes"] = users.loc[known, "minutes"].clip(
        upper=policies["max_minutes_per_user_day"]
    )
    rollup = events.groupby(day).agg(
        events=("event_id", "size"),
        logins=("logins", "sum"),
        key_actions=("key_actions", "sum"),
        sessions=("session_id", "nunique"),
        active_users=("user_id", "nunique"),
    )
    rollup["minutes"] = users.groupby(day)["minutes"].sum()
    return _frame_checksums(rollup=rollup.reset_index())


def rollup_pyspark(path: str) -> Answer:
    from pyspark.sql import SparkSession, Window
    from pyspark.sql import functions as f

    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.driver.memory", "8g")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "16")
        .getOrCreate()
    )
    types = {"occurred_at": "timestamp", "duration_seconds": "double"}
    columns = ["event_id", "account_id", "user_id", "event_name", "feature", "occurred_at"]
    schema = ", ".join(
        f"{c} {types.get(c, 'string')}" for c in [*columns, "session_id", "duration_seconds"]
    )
    if path.endswith("csv"):
        events = spark.read.csv(path, header=True, schema=schema)
    else:
        events = spark.read.parquet(path)
    policies = _policies()
    events = events.withColumn("occurred_date", f.to_date("occurred_at"))
    by_session = Window.partitionBy("account_id", "session_id", "occurred_date").orderBy(
        "occurred_at", "event_id"
    )
    following = f.lead("occurred_at").over(by_session)
    gap = f.unix_timestamp(following) - f.unix_timestamp("occurred_at")
    is_short = gap <= 60 * policies["session_idle_minutes"]
    gap = f.when(f.col("session_id").isNotNull() & is_short, gap)
    events = events.withColumn("seconds", f.coalesce("duration_seconds", gap, f.lit(0)))
    capped = f.when(f.col("user_id").isNull(), f.sum("seconds") / 60).otherwise(
        f.least(f.sum("seconds") / 60, f.lit(float(policies["max_minutes_per_user_day"])))
    )
    day = ["account_id", "occurred_date"]
    users = events.groupBy(*day, "user_id").agg(capped.alias("minutes"))
    rollup = events.groupBy(*day).agg(
        f.count("*").alias("events"),
        f.count_if(f.col("event_name") == policies["login_event"]).alias("logins"),
        f.count_if(f.col("event_name") == policies["key_event"]).alias("key_actions"),
        f.countDistinct("session_id").alias("sessions"),
        f.countDistinct("user_id").alias("active_users"),
    )
    rollup = rollup.join(users.groupBy(*day).agg(f.sum("minutes").alias("minutes")), day)
    target = f"{path}.spark"
    rollup.write.mode("overwrite").parquet(target)
    spark.stop()
    return rollup_checksums(_duckdb(), f"'{target}/*.parquet'")


# --- Line 6: bridge and cohorts -------------------------------------------------------------------


def bridge_ours(models: str) -> Answer:
    db = _run_models(models)
    cohorts = "(from marts.mart_cohort_retention where basis <> 'orders')"
    return bridge_checksums(db, "marts.mart_mrr_bridge", cohorts)


def bridge_duckdb(data_dir: str, way: str) -> Answer:
    """The same answer in plain SQL: way=spine is the usual one, way=steps the best we know."""
    db = _duckdb()
    _bridge_inputs(db, data_dir)
    [(start,)] = db.execute("select min(started_at)::date from subscriptions").fetchall()
    for file in ("bridge_covers.sql", f"bridge_closes_{way}.sql", "bridge_marts.sql"):
        _run_file(db, file, start=start, as_of_end=AS_OF_END)
    return bridge_checksums(db, "bridge", "cohorts")


def bridge_pandas(data_dir: str) -> Answer:
    import pandas as pd

    db = _duckdb()
    _bridge_inputs(db, data_dir)
    rows, accounts, rates = (
        db.sql(f"from {t}").df() for t in ("subscriptions", "accounts", "fx_rates")
    )
    end = pd.Timestamp(AS_OF_END)
    week = pd.Timedelta(days=7)
    for column in ("discount_percent", "quantity", "unit_amount_minor"):
        rows[column] = rows[column].astype(float)
    rates["base_per_unit"] = rates["base_per_unit"].astype(float)
    rates["rate_date"] = pd.to_datetime(rates["rate_date"])
    rates = rates.sort_values("rate_date")
    rows["first_started_at"] = rows.groupby("subscription_id")["started_at"].transform("min")
    rows = pd.merge_asof(
        rows.sort_values("first_started_at"),
        rates.rename(columns={"rate_date": "first_started_at"}).astype(
            {"first_started_at": rows["first_started_at"].dtype}
        ),
        on="first_started_at",
        by="currency",
    )
    first_rates = rates.drop_duplicates("currency").set_index("currency")["base_per_unit"]
    rate = rows["base_per_unit"].fillna(rows["currency"].map(first_rates)).fillna(1)
    months_of = {"year": 1 / 12, "month": 1, "week": 52 / 12, "day": 365 / 12}
    monthly = rows["quantity"] * rows["unit_amount_minor"] / 100
    monthly *= 1 - rows["discount_percent"].fillna(0) / 100
    rows["mrr"] = monthly * rows["billing_interval"].map(months_of) / rows["interval_count"] * rate
    rows["mrr"] = (rows["mrr"] * 1e6).round()  # whole millionths: sums stay exact
    rows["covered_from"] = rows[["started_at", "trial_end_at"]].max(axis=1)
    grace_ends = rows["past_due_since"].fillna(rows["started_at"]) + pd.Timedelta(days=30)
    rows["grace_ends"] = grace_ends.where(rows["status"] == "past_due")
    rows["covered_until"] = rows[["ended_at", "grace_ends"]].min(axis=1).fillna(end).clip(upper=end)
    is_void = (rows["status"] == "canceled") & rows["ended_at"].isna()
    counts = ~rows["status"].isin(["paused", "trialing"]) & ~is_void & (rows["mrr"] > 0)
    covers = rows[counts & (rows["covered_from"] < rows["covered_until"])]
    starts = covers[["account_id", "covered_from", "mrr"]].set_axis(
        ["account_id", "at", "mrr"], axis=1
    )
    ends = covers[["account_id", "covered_until", "mrr"]].set_axis(starts.columns, axis=1)
    steps = (
        pd.concat([starts, ends.assign(mrr=-ends["mrr"])])
        .groupby(["account_id", "at"])["mrr"]
        .sum()
    )
    steps = steps.groupby("account_id").cumsum().reset_index()
    by_account = steps.groupby("account_id")
    is_short = by_account["at"].shift(-1) <= steps["at"] + week
    carried = by_account["mrr"].shift(1)
    steps["mrr"] = steps["mrr"].mask((steps["mrr"] == 0) & is_short, carried)
    months = pd.DataFrame(
        {
            "period_start": pd.date_range(
                covers["covered_from"].min().strftime("%Y-%m-01"), end, freq="MS", inclusive="left"
            )
        }
    )
    months["at"] = (months["period_start"] + pd.offsets.MonthBegin(1)).clip(upper=end)
    spine = covers[["account_id"]].drop_duplicates().merge(months, how="cross")
    closes = pd.merge_asof(
        spine.astype({"at": steps["at"].dtype}).sort_values("at"),
        steps.sort_values("at"),
        on="at",
        by="account_id",
        allow_exact_matches=False,
    )
    closes["closing_mrr"] = closes["mrr"].fillna(0) / 1e6
    closes = closes.sort_values(["account_id", "period_start"])
    closes["opening_mrr"] = closes.groupby("account_id")["closing_mrr"].shift(1).fillna(0)
    paid = closes["period_start"].where(closes["closing_mrr"] > 0)
    closes["cohort_start"] = paid.groupby(closes["account_id"]).transform("min")
    moves = closes[closes["period_start"] >= closes["cohort_start"]].copy()
    opening, closing = moves["opening_mrr"], moves["closing_mrr"]
    is_first = moves["period_start"] == moves["cohort_start"]
    starts_paying = (closing > 0) & (opening == 0)
    stops_paying = (closing == 0) & (opening > 0)
    goes_on = (closing > 0) & (opening > 0)
    moves["new_mrr"] = closing.where(starts_paying & is_first, 0)
    moves["reactivation_mrr"] = closing.where(starts_paying & ~is_first, 0)
    moves["expansion_mrr"] = (closing - opening).clip(lower=0).where(goes_on, 0)
    moves["contraction_mrr"] = (opening - closing).clip(lower=0).where(goes_on, 0)
    moves["churned_mrr"] = opening.where(stops_paying, 0)
    moves["opening_accounts"] = opening > 0
    moves["new_accounts"] = starts_paying & is_first
    moves["reactivated_accounts"] = starts_paying & ~is_first
    moves["churned_accounts"] = stops_paying
    moves["closing_accounts"] = closing > 0
    order = ["covered_until", "started_at", "mrr", "subscription_id"]
    plans = covers.sort_values(order, ascending=False).drop_duplicates("account_id")
    attributes = ["segment", "plan_tier", "country", "acquisition_channel"]
    sliced = plans[["account_id", "plan_tier"]].merge(accounts, on="account_id", how="left")
    sliced = sliced[["account_id", *attributes]].fillna("unknown")
    moves = moves.merge(sliced, on="account_id").assign(total="all")
    bridge = pd.concat(
        moves.groupby([dimension, "period_start"])[BRIDGE]
        .sum()
        .reset_index()
        .rename(columns={dimension: "slice_value"})
        .assign(slice_dimension=dimension)
        for dimension in ("total", *attributes)
    )
    by_cohort = moves.groupby(["cohort_start", "period_start"])
    cohorts = pd.concat(
        by_cohort[column].sum().reset_index(name="value").assign(basis=basis)
        for basis, column in (("logo", "closing_accounts"), ("mrr", "closing_mrr"))
    )
    return _frame_checksums(bridge=bridge, cohorts=cohorts)


# --- What tasks share -----------------------------------------------------------------------------


def _duckdb() -> "duckdb.DuckDBPyConnection":
    import duckdb

    db = duckdb.connect()
    db.execute("set TimeZone = 'UTC'")
    return db


def _q(path: str) -> str:
    return f"read_parquet('{path}')"


def _typed_csv(path: str, export: str = "product/events") -> str:
    from dagster_project.core.rows import SQL_TYPES

    columns = _exports()[export].columns
    listed = ", ".join(f"'{c.name}': '{SQL_TYPES[c.type]}'" for c in columns)
    return (
        f"read_csv('{path}', columns = {{{listed}}}, header = true, auto_detect = false,"
        " delim = ',', quote = '\"', escape = '\"')"
    )


def _exports() -> Mapping[str, "Export"]:
    from dagster_project.core.exports import load_exports

    return load_exports(DBT_DIR / "models" / "staging")


def _rules() -> Any:
    from dagster_project.core.staleness import Rules

    return Rules(first_day=date(2020, 1, 1), max_reject_share=0.1)


def _policies() -> dict[str, Any]:
    found = yaml.safe_load((DBT_DIR / "dbt_project.yml").read_text())["vars"]
    return {
        name: found[name]
        for name in ("session_idle_minutes", "max_minutes_per_user_day", "login_event", "key_event")
    }


def _run_file(db: "duckdb.DuckDBPyConnection", name: str, **values: Any) -> None:
    db.execute((HERE / "sql" / name).read_text().format(**values))


def _run_models(models: str, paths: Mapping[str, str] | None = None) -> "duckdb.DuckDBPyConnection":
    """The statements of models.py in a database in memory, with `paths` read instead of others."""
    db = _duckdb()
    db.execute("set preserve_insertion_order = false")
    for schema in ("staging", "intermediate", "marts", "seeds"):
        db.execute(f"create schema {schema}")
    for relation, kind, sql, batches in json.loads(Path(models).read_text()):
        for path, other in (paths or {}).items():
            sql = sql.replace(path, other)
        with _timed(relation):
            if batches:
                db.execute("set variable done_until = date '-infinity'")
            db.execute(f"create {kind} {relation} as {sql}")
            if batches:
                # Asked again as dbt asks it: until the newest date is in, or there is none left.
                key, dates = batches
                done = f"(select max({key}) from {relation})"
                is_left, added = f"select {done} < max({key}) from {dates}", 1
                while added and db.execute(is_left).fetchone() == (True,):
                    db.execute(f"set variable done_until = {done}")
                    [(added,)] = db.execute(f"insert into {relation} {sql}").fetchall()
    return db


def _bridge_inputs(db: "duckdb.DuckDBPyConnection", data_dir: str) -> None:
    for name in ("billing/subscriptions", "billing/fx_rates", "crm/accounts"):
        table = name.rpartition("/")[2]
        db.execute(f"create table {table} as from '{data_dir}/raw/{name}/date=*/*.parquet'")


def _frame_checksums(**frames: Any) -> Answer:
    db = _duckdb()
    for name, frame in frames.items():
        db.register(name, frame)
    return rollup_checksums(db, "rollup") if "rollup" in frames else bridge_checksums(db, *frames)


@contextmanager
def _timed(what: str) -> Iterator[None]:
    """A line per statement, for whoever looks for where the time went."""
    began, cpu = time.monotonic(), time.process_time()
    yield
    print(f"{time.monotonic() - began:8.2f} s {time.process_time() - cpu:8.2f} CPU s  {what}")


TASKS: dict[str, Callable[..., Answer]] = {
    name: value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and name[0] != "_"
}

if __name__ == "__main__":
    arguments = dict(argument.split("=", 1) for argument in sys.argv[2:])
    print(json.dumps(TASKS[sys.argv[1]](**arguments)))
