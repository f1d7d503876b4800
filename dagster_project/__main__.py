"""The program behind make: `python -m dagster_project run | dev | prepare`.

Exit status of run: 0 all is published, or nothing was to do; 3 published, but an export failed; 2 a
setting makes no sense; anything else: nothing was published. Whether anything is new is found out
from files alone; Dagster, dbt, DuckDB and Polars are imported only where there is work.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

from dagster_project import manifest, notices, settings, state
from dagster_project.core import machine
from dagster_project.core.exports import ContractError, unquoted
from dagster_project.core.lake import Lake
from dagster_project.core.lock import exclusive
from dagster_project.core.publish import current_release

PUBLISHED, NOT_PUBLISHED, UNUSABLE, STALE = 0, 1, 2, 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dagster_project")
    commands = {"run": run, "dev": dev, "prepare": prepare}
    parser.add_argument("command", choices=commands)
    command = commands[parser.parse_args().command]
    try:
        return command(settings.current())
    except settings.SettingsError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except (ContractError, manifest.ManifestError, OSError) as error:
        said = machine.sentence(error) if machine.is_of_the_machine(error) else str(error)
        print(said, file=sys.stderr)
        if command is run:
            _notify_of(error)
        return NOT_PUBLISHED
    except Exception as error:
        if command is run:
            _notify_of(error)
        raise


def _notify_of(error: Exception) -> None:
    kind = type(error).__name__
    said = machine.sentence(error) if machine.is_of_the_machine(error) else kind
    notice = notices.of_failed_run("make run", (), unquoted(said))
    # Not logged: it is printed, and by a program that says one sentence.
    if trouble := notices.post(notice, settings.current().notify_webhook):
        print(trouble, file=sys.stderr)


def run(chosen: settings.Settings) -> int:
    """Bring everything up to date with what has landed, and publish."""
    lake = Lake(chosen.data_dir)
    if not lake.landed_exports() and not lake.ledger.exists():
        if chosen.data_dir != settings.DEFAULT_DATA_DIR:
            print(f"Nothing has landed in {lake.root / 'landing'}.")
            return PUBLISHED
        _generate_samples(lake)
    if _is_up_to_date(chosen):
        return _say_up_to_date(chosen)
    with exclusive(lake.lock, on_wait=_say):
        # Asked again: whoever held the lock may have done the work.
        if _is_up_to_date(chosen):
            return _say_up_to_date(chosen)
        from dagster_project import night

        is_published = night.run(chosen)
    return _outcome(chosen) if is_published else NOT_PUBLISHED


def dev(chosen: settings.Settings) -> int:
    """Become `dagster dev`, its state kept in DATA_DIR/.dagster between starts."""
    prepare(chosen)
    os.chdir(settings.CHECKOUT)
    dagster = Path(sys.executable).with_name("dagster")
    where = ("--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", "3000")
    os.execv(dagster, [str(dagster), "dev", *where])


def prepare(chosen: settings.Settings) -> int:
    """Make DATA_DIR/.dagster ready: configuration, dbt's manifest, no dead runs in the queue."""
    import dagster as dg

    from dagster_project.instance import close_dead_runs, prepare_home

    prepare_home(chosen)
    manifest.load(chosen)
    with exclusive(Lake(chosen.data_dir).lock, on_wait=_say), dg.DagsterInstance.get() as instance:
        close_dead_runs(instance, tags={})
    return PUBLISHED


def _is_up_to_date(chosen: settings.Settings) -> bool:
    if state.new_days(chosen):
        return False
    wanted = state.fingerprint(state.code_state(chosen), state.raw_state(chosen))
    return current_release(Lake(chosen.data_dir).published).get("fingerprint") == wanted


def _say_up_to_date(chosen: settings.Settings) -> int:
    _say(f"Nothing new has landed and nothing changed: {chosen.data_dir} is up to date.")
    return _outcome(chosen)


def _outcome(chosen: settings.Settings) -> int:
    stale = state.stale_exports(chosen)
    for export in stale:
        _say(export.sentence)
    return STALE if stale else PUBLISHED


def _generate_samples(lake: Lake) -> None:
    from dagster_project.core import samples

    _say("Nothing has landed yet: generating the sample exports of an invented company.")
    landing, unfinished = lake.root / "landing", lake.temporary / "samples"
    with exclusive(lake.lock, on_wait=_say):
        # Aside first: half of the samples must not pass for what has landed.
        shutil.rmtree(unfinished, ignore_errors=True)
        files = samples.generate(unfinished)
        landing.mkdir(exist_ok=True)
        for system in unfinished.iterdir():
            system.replace(landing / system.name)
    _say(f"{files} sample files in {landing}.")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
