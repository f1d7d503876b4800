"""The one lock on DATA_DIR: who holds it may extract, build and publish.

A kernel lock (flock), so that a kill -9 frees it; the file's text tells a waiting person who is
running, and whoever comes later that it was killed. Knows nothing of what is done under it.
"""

import datetime as dt
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_held: set[Path] = set()
_held_to_the_end: set[Path] = set()


@contextmanager
def exclusive(
    path: Path,
    on_wait: Callable[[str], None],
    what: str | None = None,
    *,
    heals: bool = True,
) -> Iterator[bool]:
    """Hold the lock at `path`, waiting for it if need be; whether its last holder was killed.

    `what` tells others what it is held for, in place of the command that this process was started
    with. Pass `heals=False` if you will not put in order what a killed holder left; the lock then
    goes on telling of the kill.

    `on_wait` gets one sentence on who holds it, and may raise to give up. Within a process that
    already holds it, entering again does nothing: a program that runs two jobs under one lock is
    not locked out by the jobs' own guard.
    """
    path = path.resolve()
    if path in _held:
        yield False
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            on_wait(f"Waiting for another run to end ({file.read().strip() or 'just starting'}).")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        killed = file.read()
        file.truncate(0)
        since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        file.write(f"process {os.getpid()}, since {since}: {what or ' '.join(sys.argv)[:100]}\n")
        file.flush()
        _held.add(path)
        try:
            yield bool(killed)
        finally:
            if path in _held_to_the_end:
                # What is never closed the kernel closes with the process.
                os.dup(file.fileno())
            else:
                _held.remove(path)
                file.seek(0)
                file.truncate()
                if not heals:
                    file.write(killed)


def hold_to_the_end(path: Path) -> None:
    """Let go of the lock at `path` only with this process, and to others as if it were killed."""
    _held_to_the_end.add(path.resolve())


class Holder(NamedTuple):
    """Whether anybody holds the lock; who that is, or who was killed while holding it."""

    is_held: bool
    text: str

    @property
    def was_killed(self) -> bool:
        return not self.is_held and bool(self.text)


def holder(path: Path) -> Holder:
    """Who holds the lock at `path`: a look that changes nothing and waits for nobody."""
    try:
        file = path.open()
    except OSError:
        return Holder(False, "")
    with file:
        try:
            # Shared, and let go of at once: who wants the lock meanwhile waits for an instant.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Holder(True, file.read().strip())
        fcntl.flock(file, fcntl.LOCK_UN)
        return Holder(False, file.read().strip())
