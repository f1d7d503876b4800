"""The one partition definition: a landing day in the reporting time zone, from a fixed start."""

import dagster as dg

from dagster_project import settings

_policies = settings.current().policies

landing_days = dg.DailyPartitionsDefinition(
    start_date=str(_policies["first_day"]),
    timezone=str(_policies["reporting_timezone"]),
    # Today counts: an export that lands in the evening holds what was true by the end of today.
    end_offset=1,
)
