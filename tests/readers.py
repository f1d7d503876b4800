"""Analysts who open and query what is published, over and over, while it is published anew.

`trial` starts processes of many readers each (this file as a program, until its standard input is
closed) and tells how often they looked, at how many releases, and what they saw that should not be:
an error, or two marts of different releases.
"""

import datetime as dt
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from program import ENVIRONMENT

from dagster_project.core.publish import Release, publish

MARTS = ("mart_a", "mart_b", "mart_c")


def through_the_database(published: Path) -> set[int]:
    with duckdb.connect(str(published / "marts.duckdb"), read_only=True) as db:
        return _numbers(db, [*MARTS, "release"])


def through_parquet(published: Path) -> set[int]:
    # As the README asks of those who join files: one release, resolved once.
    folder = (published / "current").resolve() / "parquet"
    with duckdb.connect() as db:
        return _numbers(db, [f"'{folder}/{table}.parquet'" for table in (*MARTS, "release")])


def _numbers(db: duckdb.DuckDBPyConnection, tables: list[str]) -> set[int]:
    """The releases that the tables are of; the release table tells its number as fingerprint."""
    union = " union ".join(
        f"select {'fingerprint::int' if 'release' in Path(table).stem else 'n'} from {table}"
        for table in tables
    )
    return {number for (number,) in db.execute(union).fetchall()}


def look(
    published: Path, see: Callable[[Path], set[int]], is_over: threading.Event, seen: list[object]
) -> None:
    while not is_over.is_set():
        try:
            seen.append(tuple(see(published)))
        except Exception as error:
            seen.append(f"{type(error).__name__}: {error}")


def publish_number(root: Path, number: int) -> None:
    """A release in which every row of every mart says which one it is."""
    warehouse = root / "warehouse.duckdb"
    warehouse.unlink(missing_ok=True)
    with duckdb.connect(str(warehouse)) as db:
        db.execute("create schema marts")
        for mart in MARTS:
            rows = 10_000 * (1 + number % 3)
            db.execute(f"create table marts.{mart} as select {number} as n from range({rows})")
    release = Release(f"{number:03d}", dt.date(2024, 1, 1), str(number), "raw")
    publish(warehouse, root / "published", release, keep=3)


def trial(root: Path, processes: int, readers: int, publishes: int) -> dict[str, Any]:
    """`processes` times `readers` readers during so many publishes; the sum of what they say."""
    publish_number(root, 0)
    command = [sys.executable, __file__, str(root / "published"), str(readers)]
    children = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        for _ in range(processes)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "reading\n"
    for number in range(1, publishes + 1):
        publish_number(root, number)
    reports = [json.loads(child.communicate()[0]) for child in children]
    return {
        "looks": sum(report["looks"] for report in reports),
        "releases": max(report["releases"] for report in reports),
        "wrong": [sentence for report in reports for sentence in report["wrong"]],
    }


def main(published: Path, readers: int) -> None:
    is_over, seen = threading.Event(), list[object]()
    ways = [through_the_database, through_parquet]
    threads = [
        threading.Thread(target=look, args=(published, ways[number % 2], is_over, seen))
        for number in range(readers)
    ]
    for thread in threads:
        thread.start()
    print("reading", flush=True)
    sys.stdin.read()
    is_over.set()
    for thread in threads:
        thread.join()
    whole = [look for look in seen if isinstance(look, tuple) and len(look) == 1]
    wrong = [str(look) for look in seen if look not in whole]
    print(json.dumps({"looks": len(seen), "releases": len(set(whole)), "wrong": wrong[:9]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
