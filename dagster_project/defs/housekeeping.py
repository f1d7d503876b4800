"""Every day: what is too old to be kept."""

import dagster as dg

from dagster_project import housekeeping, settings

_settings = settings.current()


@dg.op(required_resource_keys={"lock"})
def tidy(context: dg.OpExecutionContext) -> None:
    dropped = housekeeping.tidy(_settings, context.instance)
    context.log.info(f"Dropped as too old: {dropped or 'nothing'}")


@dg.job(description="Drops superseded snapshots, rejects and runs that are too old, by policy.")
def drop_what_is_old() -> None:
    tidy()


daily = dg.ScheduleDefinition(
    name="daily_housekeeping",
    job=drop_what_is_old,
    cron_schedule="0 5 * * *",
    execution_timezone=str(_settings.policies["reporting_timezone"]),
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
