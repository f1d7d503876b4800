"""The program behind make: `python -m dagster_project run | backfill | dev | prepare | doctor`.

Exit status of run and backfill: 0 all is published, or nothing was to do; 3 published, but an
export failed or the run broke off after that; 2 a setting makes no sense; 130 or 143 told to stop;
anything else: nothing was published. That of doctor is 1 if anything is wrong. Whether anything is
new is found out from files alone; Dagster, dbt, DuckDB and Polars are imported only where there is
work.
"""

import argparse
import datetime as dt
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

from dagster_project import manifest, notices, settings, state
from dagster_project.core import machine
from dagster_project.core.exports import ContractError
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import unquoted
from dagster_project.core.lock import exclusive, holder
from dagster_project.core.publish import current_release

PUBLISHED, NOT_PUBLISHED, UNUSABLE, STALE = 0, 1, 2, 3


class ArgumentError(ValueError):
    """An option of the command makes no sense; its text says which."""


def main() -> int:
    commands: dict[str, Callable[..., int]] = {
        command.__name__: command for command in (run, backfill, dev, prepare, doctor)
    }
    arguments = vars(_parser(commands).parse_args())
    command = commands[arguments.pop("command")]
    try:
        return command(settings.current(), **arguments)
    except ArgumentError as error:
        # Nobody else is told: who typed it reads it.
        print(error, file=sys.stderr)
        return UNUSABLE
    except Exception as error:
        if machine.is_of_the_machine(error):
            print(machine.sentence(error), file=sys.stderr)
        elif isinstance(error, settings.SettingsError | ContractError | manifest.ManifestError):
            print(error, file=sys.stderr)
        else:
            traceback.print_exc()
        if command in (run, backfill):
            _notify_of(command.__name__, error)
        return UNUSABLE if isinstance(error, settings.SettingsError) else NOT_PUBLISHED


def end_when_told_to() -> None:
    """End this process at once, with a sentence, on Ctrl-C and on SIGTERM: a kill that is told.

    Not by an exception in the main thread: to Dagster that is a step that failed, after which the
    night would go on; and dbt's thread would write to the warehouse after the lock was given up.
    The descriptor hears of signals also while Dagster has put handlers of its own in place.
    """
    stops = (signal.SIGINT, signal.SIGTERM)
    for stop in stops:
        signal.signal(stop, lambda *_: None)
    terminal = os.dup(sys.stderr.fileno())
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)

    def wait() -> None:
        while (number := os.read(told, 1)[0]) not in stops:
            pass
        os.write(terminal, b"Stopped before the end; the next run does what is not done.\n")
        os._exit(128 + number)

    Thread(target=wait, daemon=True).start()


def _notify_of(command: str, error: Exception) -> None:
    kind = type(error).__name__
    said = machine.sentence(error) if machine.is_of_the_machine(error) else kind
    try:
        address = settings.webhook()
    except settings.SettingsError:
        return  # That is what was said.
    notice = notices.of_failed_run(f"make {command}", (), unquoted(said))
    # Not logged: it is printed, and by a program that says one sentence.
    if trouble := notices.post(notice, address):
        print(trouble, file=sys.stderr)


def _parser(commands: Mapping[str, Callable[..., int]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dagster_project")
    choices = parser.add_subparsers(dest="command", required=True)
    parsers = {name: choices.add_parser(name, help=does.__doc__) for name, does in commands.items()}
    day: dict[str, Any] = {"type": _day, "required": True, "metavar": "DAY"}
    again = parsers["backfill"].add_argument
    again("--from", dest="first", help="the first landing day, as 2024-02-29", **day)
    again("--to", dest="last", help="the last one, included", **day)
    again("--exports", default="", help="system/name, comma-separated; all unless given")
    parsers["doctor"].add_argument("--hash", action="store_true", help="read every landing file")
    parsers["dev"].add_argument("--port", type=int, default=3000, help="of the UI")
    return parser


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"a day is written 2024-02-29, not {text!r}") from None


def run(chosen: settings.Settings) -> int:
    """Bring everything up to date with what has landed, and publish."""
    lake = chosen.lake
    if not lake.landed_exports() and not lake.ledger.exists():
        landing = lake.landings
        if chosen.data_dir != settings.DEFAULT_DATA_DIR or not _is_empty(landing):
            print(f"Nothing has landed in {landing}.")
            return PUBLISHED
        _generate_samples(lake)
    # After a kill it runs even where nothing is new: that puts in order what the kill left.
    if not holder(lake.lock).was_killed and _is_up_to_date(chosen):
        return _say_up_to_date(chosen)
    with exclusive(lake.lock, on_wait=_say) as is_after_a_kill:
        # Asked again: whoever held the lock may have done the work.
        if not is_after_a_kill and _is_up_to_date(chosen):
            return _say_up_to_date(chosen)
        from dagster_project import night

        broken_off = night.run(chosen)
    return _outcome(chosen, broken_off)


def backfill(chosen: settings.Settings, first: dt.date, last: dt.date, exports: str) -> int:
    """Extract the landing days from one to another again, build, check and publish."""
    _check_days(chosen, first, last)
    names = _chosen_exports(chosen, exports)
    lake = chosen.lake
    with exclusive(lake.lock, on_wait=_say):
        from dagster_project import night

        broken_off = night.run(chosen, night.Backfill(first, last, names))
    return _outcome(chosen, broken_off)


def _check_days(chosen: settings.Settings, first: dt.date, last: dt.date) -> None:
    earliest = state.rules(chosen).first_day
    today = state.today(chosen)
    if not earliest <= first <= last <= today:
        raise ArgumentError(
            f"A backfill goes from a day to the same or a later one, between {earliest} (first_day)"
            f" and {today} (today): not from {first} to {last}."
        )


def _chosen_exports(chosen: settings.Settings, names: str) -> list[str]:
    known = list(chosen.exports)
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in known]:
        raise ArgumentError(
            f"No export of the systems that are on is {', '.join(unknown)}; {', '.join(known)} are."
        )
    return wanted or known


def dev(chosen: settings.Settings, port: int) -> int:
    """Become `dagster dev`, its state kept in DATA_DIR/.dagster between starts."""
    prepare(chosen)
    _free_the_queue(chosen)
    os.chdir(settings.CHECKOUT)
    # As a module, so that it finds the event log of ours that dagster.yaml names.
    dagster = (sys.executable, "-m", "dagster")
    where = ("--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port))
    os.execv(sys.executable, [*dagster, "dev", *where])


def _free_the_queue(chosen: settings.Settings) -> None:
    """Close the runs that a killed daemon left: the next one would wait for them for ever."""
    import dagster as dg

    from dagster_project.instance import close_dead_runs

    lock = chosen.lake.lock
    with exclusive(lock, on_wait=_say, heals=False), dg.DagsterInstance.get() as instance:
        close_dead_runs(instance, tags={})


def prepare(chosen: settings.Settings) -> int:
    """Make DATA_DIR/.dagster ready: configuration and dbt's manifest."""
    from dagster_project.instance import prepare_home

    prepare_home(chosen)
    manifest.load(chosen)
    return PUBLISHED


def doctor(chosen: settings.Settings, hash: bool = False) -> int:  # noqa: A002 - the option's name
    """Say what is wrong with DATA_DIR, and change nothing."""
    from dagster_project.doctor import examine

    return NOT_PUBLISHED if examine(chosen, _say, hash) else PUBLISHED


def _is_up_to_date(chosen: settings.Settings) -> bool:
    if state.new_days(chosen):
        return False
    wanted = state.fingerprint(state.code_state(chosen), state.raw_state(chosen))
    return current_release(chosen.lake.published).get("fingerprint") == wanted


def _say_up_to_date(chosen: settings.Settings) -> int:
    _say(f"Nothing new has landed and nothing changed: {chosen.data_dir} is up to date.")
    return _outcome(chosen)


def _outcome(chosen: settings.Settings, broken_off: Sequence[str] | None = ()) -> int:
    """Say what went wrong, of `broken_off` as night.run has it; returns the exit status."""
    if broken_off is None:
        return NOT_PUBLISHED
    said = [*broken_off, *(export.sentence for export in state.stale_exports(chosen))]
    if ahead := state.as_of_to_come(chosen):
        _say(ahead)
    for sentence in said:
        _say(sentence)
    return STALE if said else PUBLISHED


def _generate_samples(lake: Lake) -> None:
    from dagster_project.core import samples

    landing, unfinished = lake.landings, lake.temporary / "samples"
    with exclusive(lake.lock, on_wait=_say):
        # Asked again: whoever held the lock may have generated them.
        if not _is_empty(landing):
            return
        _say("Nothing has landed yet: generating the sample exports of an invented company.")
        # Aside first, and moved at once: half of the samples must not pass for what has landed.
        shutil.rmtree(unfinished, ignore_errors=True)
        files = samples.generate(unfinished)
        unfinished.replace(landing.resolve())
    _say(f"{files} sample files in {landing}.")


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    end_when_told_to()
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Without tearing the interpreter down: DuckDB aborts under a build that still goes on, and
    # prints pages about types of its own.
    os._exit(status)
