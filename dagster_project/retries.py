"""Steps try again, later each time, what may pass by itself: a lock, a network drive, memory.

What will not pass fails the step at once and in one sentence: a full disk, a folder that may not be
written, a bad file, a failed check, a defect. Which is which is core/machine.py's to say. A build
that the machine did not let end is asked for again by the sensor that asks for builds.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource

from dagster_project.core import machine

TRIES_AGAIN = 2
FIRST_WAIT = 5.0  # seconds; four times as long before each further try
OF_THE_MACHINE = "of_the_machine"


@contextmanager
def passing_faults(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Around the work of an asset: a fault of the machine becomes RetryRequested or Failure."""
    try:
        yield
    except Exception as error:
        if not machine.is_of_the_machine(error):
            raise
        if machine.may_pass(error) and context.retry_number < TRIES_AGAIN:
            wait = FIRST_WAIT * 4**context.retry_number
            context.log.warning(f"{machine.sentence(error)} Trying again in {wait:g} seconds.")
            raise dg.RetryRequested(TRIES_AGAIN, wait) from error
        raise dg.Failure(
            machine.sentence(error), metadata={OF_THE_MACHINE: True}, allow_retries=False
        ) from error


def broke_off(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a failed run ended with its process, by a signal or by a fault of the machine, and so
    may end well on the same data."""
    failures = [
        entry.get_dagster_event().step_failure_data
        for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    ]
    return not failures or any(
        failure.error_source == ErrorSource.INTERRUPT
        or (failure.user_failure_data and OF_THE_MACHINE in failure.user_failure_data.metadata)
        for failure in failures
    )
