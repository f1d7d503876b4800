"""The code location: everything declared in defs/, run in one process per run."""

from pathlib import Path

import dagster as dg


@dg.definitions
def definitions() -> dg.Definitions:
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__)),
        # A process per step would cost more in imports than the steps themselves, and open the
        # lock's resource once a step instead of once a run.
        dg.Definitions(executor=dg.in_process_executor),
    )
