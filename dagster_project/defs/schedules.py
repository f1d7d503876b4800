"""The nightly extraction."""

import dagster as dg

from dagster_project import settings, state

_settings = settings.current()

extract = dg.define_asset_job(
    "extract",
    selection=dg.AssetSelection.groups(*(f"raw/{system}" for system in _settings.systems)),
    description="The raw exports: days that are new or changed, or exactly the days chosen.",
)


@dg.schedule(
    job=extract,
    cron_schedule="0 3 * * *",
    execution_timezone=str(_settings.policies["reporting_timezone"]),
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def nightly() -> dg.RunRequest | dg.SkipReason:
    """Extract what has landed since; the build follows by its own sensor."""
    if not state.new_days(_settings):
        return dg.SkipReason("Nothing new has landed.")
    # No partition chosen: each export takes the days that are new or changed.
    return dg.RunRequest()
