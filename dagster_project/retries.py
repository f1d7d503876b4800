"""Steps try again, later each time, what may pass by itself: a lock, a network drive, memory.

What will not pass fails the step at once and in one sentence: a full disk, a folder that may not be
written, a bad file, a failed check, a defect. Which is which is core/machine.py's to say.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dagster_project.core import machine

TRIES_AGAIN = 2
FIRST_WAIT = 5.0  # seconds; four times as long before each further try


@contextmanager
def passing_faults(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Around the work of an asset: a fault of the machine becomes RetryRequested or Failure."""
    try:
        yield
    except Exception as error:
        if not machine.is_of_the_machine(error):
            raise
        if machine.may_pass(error):
            wait = FIRST_WAIT * 4**context.retry_number
            context.log.warning(f"{machine.sentence(error)} Trying again in {wait:g} seconds.")
            raise dg.RetryRequested(TRIES_AGAIN, wait) from error
        raise dg.Failure(machine.sentence(error), allow_retries=False) from error
