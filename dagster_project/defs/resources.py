"""What runs need: the lock on DATA_DIR."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from dagster_project import dbt_runner, settings
from dagster_project.core.lock import exclusive, hold_to_the_end
from dagster_project.core.publish import sweep

_settings = settings.current()


class DataDirLock(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Held from a run's first step to its last: this executor opens resources once a run."""

    @contextmanager
    def yield_for_execution(
        self,
        context: dg.InitResourceContext,
    ) -> Iterator["DataDirLock"]:
        lake = _settings.lake
        run = context.run
        what = f"Dagster run {run.run_id} of {run.job_name}" if run else None
        with exclusive(lake.lock, on_wait=dg.get_dagster_logger().info, what=what):
            lake.sweep()
            sweep(lake.published)
            lake.make_private()
            try:
                yield self
            finally:
                # Of a run that was terminated: its process is about to end, and dbt with it.
                if dbt_runner.is_building():
                    hold_to_the_end(lake.lock)


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(resources={"lock": DataDirLock()})
