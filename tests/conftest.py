"""What every test may lean on: a data folder of its own, and no settings from outside.

Belongs here: fixtures that more than one file uses. Does not belong here: an expectation.
"""

import atexit
import os
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from models import CompileModels

# Before anything reads it: dbt's project file and the settings want a DATA_DIR, and no test may
# touch the checkout's own or be steered by what a shell has set.
os.environ["DATA_DIR"] = tempfile.mkdtemp(prefix="customer-success-tests-")
for _name in ("SYSTEMS", "VARS", "MEMORY_LIMIT", "NOTIFY_WEBHOOK", "DAGSTER_HOME"):
    os.environ.pop(_name, None)

# DuckDB 2.0 prints pages about types of its own while the interpreter is torn down; pytest's
# closing line should be the last one.
atexit.register(os.dup2, os.open(os.devnull, os.O_WRONLY), 2)


@pytest.fixture(scope="session")
def manifest() -> Mapping[str, Any]:
    """dbt's manifest of the project as it stands."""
    from dagster_project.manifest import load
    from dagster_project.settings import current

    return load(current())


@pytest.fixture(scope="session")
def compile_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator["CompileModels"]:
    """The project compiled under some policies, every system on."""
    from models import compiled

    scratch = tmp_path_factory.mktemp("dbt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(scratch))
        yield partial(compiled, scratch)
