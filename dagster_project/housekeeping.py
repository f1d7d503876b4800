"""What is kept for how long, by policy: superseded snapshots, rejects, Dagster's memory of runs.

How many releases stay is publishing's to say; dbt keeps five files of 10 MB of its log, and run.log
is that of the last run.
"""

import datetime as dt

import dagster as dg

from dagster_project import settings, state
from dagster_project.core import expiry
from dagster_project.core.ledger import read_ledger
from dagster_project.instance import forget_runs


def tidy(chosen: settings.Settings, instance: dg.DagsterInstance) -> str:
    """Drop what is too old; says what, if anything. The caller holds the lock on DATA_DIR."""
    lake = chosen.lake
    ledger, exports = read_ledger(lake), settings.declared().values()
    snapshots = expiry.expire_snapshots(lake, exports, ledger, state.rules(chosen))
    rejects = expiry.expire_rejects(lake, ledger, chosen.optional_integer("reject_days_kept"))
    runs, days = 0, chosen.optional_integer("run_days_kept")
    if days is not None:
        # Dagster's history has no landing days: its age is that of the clock.
        runs = forget_runs(instance, dt.datetime.now(dt.UTC) - dt.timedelta(days))
    dropped = {
        "superseded snapshots": len(snapshots),
        "days of rejects": len(rejects),
        "runs": runs,
    }
    return ", ".join(f"{count} {what}" for what, count in dropped.items() if count)
