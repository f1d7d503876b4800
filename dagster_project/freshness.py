"""How fresh an export, a mart and what is published have to be, as Dagster shows it.

Dagster counts from the newest materialization; which landing day is overdue is told by the sensor
exports_late. The hours of both are the policy late_after_hours, or an export's own.
"""

from datetime import timedelta

import dagster as dg

from dagster_project import settings, state
from dagster_project.core.exports import Export

_settings = settings.current()


def of_export(export: Export) -> dg.FreshnessPolicy | None:
    return _within(state.late_after_hours(_settings, export))


def of_marts() -> dg.FreshnessPolicy | None:
    return _within(_settings.optional_integer("late_after_hours"))


def _within(hours: int | None) -> dg.FreshnessPolicy | None:
    return dg.FreshnessPolicy.time_window(timedelta(hours=hours)) if hours else None
