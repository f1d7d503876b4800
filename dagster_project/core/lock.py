"""The one lock on DATA_DIR: who holds it may extract, build and publish.

A kernel lock (flock), so that a kill -9 frees it; the file's text only tells a waiting person who
is running. Knows nothing of what is done under it.
"""

import datetime as dt
import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_held: set[Path] = set()


@contextmanager
def exclusive(
    path: Path, on_wait: Callable[[str], None], what: str | None = None
) -> Iterator[None]:
    """Hold the lock at `path`, waiting for it if need be; `what` tells others what it is held for,
    in place of the command that this process was started with.

    `on_wait` gets one sentence on who holds it, and may raise to give up. Within a process that
    already holds it, entering again does nothing: a program that runs two jobs under one lock is
    not locked out by the jobs' own guard.
    """
    path = path.resolve()
    if path in _held:
        yield
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
        file.truncate()
        since = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        file.write(f"process {os.getpid()}, since {since}: {what or ' '.join(sys.argv)}\n")
        file.flush()
        _held.add(path)
        try:
            yield
        finally:
            _held.remove(path)
            file.seek(0)
            file.truncate()
