"""What an operator is told while nobody is looking: to the log, and to a webhook where one is set.

The webhook gets a POST of JSON, as chat tools take it: `text` is one sentence, `kind` what it is
about, `subject` the export or the job, `at` the time (ISO 8601, UTC). Sentences quote no file and
no row, because what stands in those may be personal. When to send one is the caller's decision.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

from dagster_project.core.ledger import unquoted

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.execution.plan.objects import StepFailureData
    from dagster_shared.error import SerializableErrorInfo

TIMEOUT = 10.0  # seconds
# Metadata of a Failure: its description without quotations. For descriptions of several sentences,
# because `unquoted` keeps nothing behind the first bracket.
UNQUOTED = "without quotations"

Kind = Literal["run_failed", "stale_export", "late_export"]


class Notice(NamedTuple):
    kind: Kind
    subject: str
    text: str


def notify(notice: Notice, webhook: str | None, log: Callable[[str], object]) -> None:
    """Log the notice, and post it to `webhook`; what goes wrong there is logged and no more."""
    log(notice.text)
    if trouble := post(notice, webhook):
        log(trouble)


def post(notice: Notice, webhook: str | None) -> str | None:
    """Post the notice, if there is where to; a sentence if it was not taken."""
    if webhook is None:
        return None
    # Here and not above: a night in which nothing happens needs none of it.
    import http.client
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        # Nobody but the one who was named gets to read it.
        def redirect_request(self, *_: object) -> None:
            return None

    at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    request = urllib.request.Request(
        webhook,
        json.dumps(notice._asdict() | {"at": at}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=TIMEOUT):
            return None
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Not the error's whole text, which may hold the address: that is a secret.
        why = f"{type(error).__name__} {getattr(error, 'reason', None) or ''}".rstrip()
        return f"The webhook did not take the notice: {why}."


def of_failed_run(job: str, failures: "Iterable[dg.DagsterEvent]", otherwise: str = "") -> Notice:
    """One sentence on a run that failed: which steps, and what each said of itself."""
    steps = [f"{step_name(it.step_key)} ({_said(it)})" for it in failures]
    why = f" at {'; '.join(steps)}" if steps else f": {otherwise.rstrip('.')}" if otherwise else ""
    return Notice("run_failed", job, f"{job} failed{why}.")


def step_name(step_key: str | None) -> str:
    """What a step is called before people: that of an export by the name of the export."""
    return str(step_key).replace("__", "/")


def innermost_error(failure: "StepFailureData") -> "SerializableErrorInfo | None":
    """The exception at the bottom, which is the one that says what went wrong."""
    error = failure.error
    while error and error.cause:
        error = error.cause
    return error


def _said(event: "dg.DagsterEvent") -> str:
    """Sentences of our own, names of dbt nodes, or the kind of the error: engines quote values."""
    failure = event.step_failure_data
    ours = failure.user_failure_data
    if ours and (told := ours.metadata.get(UNQUOTED)):
        return str(told.value)
    if ours and ours.description:
        return unquoted(ours.description)
    error = innermost_error(failure)
    named = re.findall(r" in (?:test|model|seed) (\w+) \(", error.message if error else "")
    return ", ".join(dict.fromkeys(named)) or (error and error.cls_name) or "no reason given"
