"""A backfill as a person launches it in the UI, beside `make run`: `python tests/backfills.py 365`.

Starts what `make dev` starts, on sample exports of so many days with one file broken and one export
that missed a day; chooses every raw asset over all days through the UI's GraphQL, and at the same
time runs the program. Then looks: one run for all days, one build, the broken day red and alone,
nobody failed for the sake of another. Not part of the tests, whose time it would double.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
from program import CHECKOUT

from dagster_project.core import samples

LAST = date(2025, 6, 30)
BROKEN = "crm/users"
PENDING = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}
LAUNCH = """
mutation ($chosen: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $chosen) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
PROGRESS = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      assetBackfillData {
        assetBackfillStatuses {
          ... on AssetPartitionsStatusCounts {
            assetKey { path }
            numPartitionsTargeted
            numPartitionsInProgress
            numPartitionsMaterialized
            numPartitionsFailed
          }
        }
      }
    }
  }
  runsOrError { ... on Runs { results { jobName status startTime endTime } } }
}
"""
ASSETS = """
{
  assetNodes {
    assetKey { path }
    tags { key value }
    assetPartitionStatuses {
      ... on TimePartitionStatuses { ranges { startKey endKey status } }
    }
  }
}
"""


class Dev:
    """What `make dev` starts, on a port of its own."""

    def __init__(self, data_dir: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.environment = {k: v for k, v in os.environ.items() if k not in ("SYSTEMS", "VARS")}
        self.environment |= {"DATA_DIR": str(data_dir)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dagster_project", "dev", "--port", str(self.port)],
            cwd=CHECKOUT,
            env=self.environment,
            stdout=(data_dir / "dev.log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def ask(self, query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            said = json.load(answer)
        assert "errors" not in said, said
        return said["data"]

    def raw_assets(self) -> list[Any]:
        """Once the code is loaded; before that there is nobody to ask, or nothing to be told."""
        until = time.monotonic() + 600
        while time.monotonic() < until:
            try:
                nodes = self.ask(ASSETS)["assetNodes"]
            except OSError:
                nodes = []
            tag = {"key": "layer", "value": "raw"}
            if raw := [node for node in nodes if tag in node["tags"]]:
                return raw
            time.sleep(1)
        raise TimeoutError("dagster dev did not start")

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(120)


def main(days: int) -> int:
    data = Path(tempfile.mkdtemp(prefix="backfills-"))
    chosen = [str(LAST - timedelta(days - 1 - index)) for index in range(days)]
    samples.generate(data / "landing", accounts=40, days=days, events_per_account=2000)
    broken = data / "landing" / BROKEN / f"{chosen[days // 2]}.csv.gz"
    broken.write_bytes(broken.read_bytes()[:100])
    print(f"{days} days in {data}", flush=True)
    dev = Dev(data)
    try:
        return _backfill(dev, data, chosen, broken)
    finally:
        dev.stop()


def _backfill(dev: Dev, data: Path, days: list[str], broken: Path) -> int:
    keys = [node["assetKey"] for node in dev.raw_assets()]
    print(f"{len(keys)} raw assets on port {dev.port}", flush=True)
    began = time.monotonic()
    launched = dev.ask(LAUNCH, chosen={"assetSelection": keys, "partitionNames": days})
    backfill = launched["launchPartitionBackfill"]["backfillId"]
    lock = data / ".lock"
    while not (lock.exists() and "Dagster run" in lock.read_text()):
        time.sleep(0.5)
    print(f"{time.monotonic() - began:7.1f} s  at work: {lock.read_text().strip()}", flush=True)
    # Beside it, as a person at a terminal would.
    program = subprocess.Popen(
        [sys.executable, "-m", "dagster_project", "run"],
        cwd=CHECKOUT,
        env=dev.environment,
        stdout=(data / "run.txt").open("wb"),
        stderr=subprocess.STDOUT,
    )
    said, runs = "", list[Any]()
    is_over = False
    while not is_over and time.monotonic() < began + 3600:
        time.sleep(2)
        state = dev.ask(PROGRESS, id=backfill)
        progress, runs = state["partitionBackfillOrError"], state["runsOrError"]["results"]
        statuses = progress["assetBackfillData"]["assetBackfillStatuses"]
        sums = {
            name: sum(status[f"numPartitions{name}"] for status in statuses)
            for name in ("Targeted", "InProgress", "Materialized", "Failed")
        }
        doing = [f"{run['jobName']} {run['status']}" for run in reversed(runs)]
        if (now := f"{progress['status']} {sums} {doing}") != said:
            said = now
            print(f"{time.monotonic() - began:7.1f} s  {said}", flush=True)
        is_over = (
            progress["status"] not in ("REQUESTED", "CANCELING")
            and not any(run["status"] in PENDING for run in runs)
            and program.poll() is not None
            and (data / "published" / "marts.duckdb").exists()
        )
    print((data / "run.txt").read_text())
    # Long enough for the sensor to look once more, and to build again if it sees a reason.
    time.sleep(45)
    runs = dev.ask(PROGRESS, id=backfill)["runsOrError"]["results"]
    for run in reversed(runs):
        print(run["jobName"], run["status"], f"{run['endTime'] - run['startTime']:.0f} s")
    red = [
        f"{'/'.join(node['assetKey']['path'])} {part['startKey']}..{part['endKey']}"
        for node in dev.raw_assets()
        for part in node["assetPartitionStatuses"]["ranges"]
        if part["status"] == "FAILED"
    ]
    with duckdb.connect(str(data / "published" / "marts.duckdb"), read_only=True) as marts:
        quality = marts.sql(
            "select status, count(*) from mart_export_quality group by all order by all"
        ).fetchall()
    releases = len([*(data / "published" / "releases").iterdir()])
    print(f"red: {red}\nexport days: {quality}\nreleases: {releases}")
    day = broken.name.partition(".")[0]
    wrong = []
    if red != [f"{BROKEN} {day}..{day}"]:
        wrong.append("not the broken day, and it alone, is red")
    if program.returncode:
        wrong.append(f"the program ended with {program.returncode}")
    jobs = Counter(run["jobName"] for run in runs)
    if jobs != {"__ASSET_JOB": 1, "build_and_publish": 1} or releases != 1:
        wrong.append(f"more was done than one backfill, one build and one release: {jobs}")
    if "Waiting for another run to end (process" not in (data / "run.txt").read_text():
        wrong.append("the program did not say for whom it waited")
    print("\n".join(wrong) or "well")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
