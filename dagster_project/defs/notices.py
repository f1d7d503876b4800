"""Who is told what: a run that failed, and an export that is late."""

import datetime as dt
import json
from zoneinfo import ZoneInfo

import dagster as dg

from dagster_project import settings, state
from dagster_project.core import arrivals
from dagster_project.core.ledger import read_ledger
from dagster_project.instance import PROCESS_GONE, PROGRAM_TAGS
from dagster_project.notices import Notice, notify, of_failed_run

_settings = settings.current()
_lake = _settings.lake
# A tick that lasts a minute is cut off and forgets what it told; a webhook may take ten seconds.
POSTS_OF_A_TICK = 4


@dg.run_failure_sensor(
    monitor_all_code_locations=True, default_status=dg.DefaultSensorStatus.RUNNING
)
def run_failed(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Tell of each run that failed, but for those that have told of themselves."""
    message = context.failure_event.message or ""
    if PROGRAM_TAGS.items() <= context.dagster_run.tags.items() and message != PROCESS_GONE:
        return dg.SkipReason("make run has told of it.")
    job = context.dagster_run.job_name
    failures = context.get_step_failure_events()
    notify(of_failed_run(job, failures, message), _settings.notify_webhook, context.log.warning)
    return None


@dg.sensor(minimum_interval_seconds=600, default_status=dg.DefaultSensorStatus.RUNNING)
def exports_late(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """Tell once a day of each export of which the next landing day is overdue."""
    zone = ZoneInfo(str(_settings.policies["reporting_timezone"]))
    now = dt.datetime.now(dt.UTC)
    today = str(now.astimezone(zone).date())
    ledger = read_ledger(_lake)
    told, late = json.loads(context.cursor or "{}"), []
    told = {name: day for name, day in told.items() if day == today}
    posts = POSTS_OF_A_TICK
    for name, export in _settings.exports.items():
        hours = state.late_after_hours(_settings, export)
        if hours is None:
            continue
        if sentence := arrivals.lateness(export, _lake, ledger, hours, zone, now):
            late.append(name)
            if name not in told and posts:
                notice = Notice("late_export", name, sentence)
                notify(notice, _settings.notify_webhook, context.log.warning)
                told[name] = today
                posts -= 1
    return dg.SensorResult(skip_reason=f"{len(late)} exports are late.", cursor=json.dumps(told))
