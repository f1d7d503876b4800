"""The program behind `make bench`: measures, prints a table, keeps the results.

Exit status: 0 measured (targets reached or not), 1 two answers differ or a measured process failed.
"""

import argparse
import datetime as dt
import json
import sys
from dataclasses import asdict
from pathlib import Path

from bench.cases import LINES, Bench, DisagreementError, Finding
from bench.measuring import CHECKOUT, TaskFailedError, machine_facts
from bench.world import Size, World

HISTORY = "history.jsonl"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--periods", type=int, default=25_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--lines", default="1,5,6", help="of the six, comma-separated")
    parser.add_argument("--peers", default="duckdb,pandas", help="duckdb, pandas, pyspark")
    parser.add_argument("--folder", type=Path, default=CHECKOUT / "data" / "bench")
    chosen = parser.parse_args()
    facts = machine_facts()
    size = Size(chosen.events, chosen.accounts, chosen.months, chosen.periods)
    root = chosen.folder.absolute()
    root.mkdir(parents=True, exist_ok=True)
    _say(", ".join(f"{name}: {value}" for name, value in facts.items()))
    _say(f"{size}, median of {chosen.runs} runs, peers {chosen.peers}, in {root}")
    world = World(root / "worlds", size)
    bench = Bench(root, world, chosen.runs, chosen.peers.split(","), _say)
    try:
        for line in map(int, chosen.lines.split(",")):
            case = LINES[line]
            _say(f"\n{(case.__doc__ or '').splitlines()[0]}")
            case(bench)
    except (DisagreementError, TaskFailedError) as error:
        _say(f"\n{error}")
        return 1
    before = _earlier(root / HISTORY, asdict(size))
    _say("")
    for finding in bench.findings:
        _say(_told(finding, before.get(finding.what)))
    _keep(root, facts, size, bench)
    return 0


def _told(finding: Finding, before: float | None) -> str:
    target = "" if finding.target is None else f"{finding.target:g} {finding.unit}"
    bound = "at least" if finding.at_least else "at most"
    verdict = {True: "reached", False: "MISSED", None: ""}[finding.is_reached]
    earlier = "" if before is None else f"  (before: {before:.2f})"
    wanted = f"{bound} {target}" if target else ""
    cpu = "" if finding.cpu is None else f"in CPU {finding.cpu:.2f}"
    return (
        f"line {finding.line}  {finding.what:<52}{finding.value:>9.2f} {finding.unit:<3}"
        f"{cpu:<14} {wanted:<15} {verdict:<8}{earlier}"
    )


def _earlier(history: Path, size: dict[str, int]) -> dict[str, float]:
    """The newest earlier value of each finding at this size."""
    values: dict[str, float] = {}
    if history.exists():
        for line in history.read_text().splitlines():
            run = json.loads(line)
            if run["size"] == size:
                values |= {finding["what"]: finding["value"] for finding in run["findings"]}
    return values


def _keep(root: Path, facts: dict[str, object], size: Size, bench: Bench) -> None:
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = {
        "at": now,
        "machine": facts,
        "size": asdict(size),
        "runs": bench.runs,
        "findings": [asdict(f) | {"is_reached": f.is_reached} for f in bench.findings],
        "measured": [asdict(m) | {"seconds": m.seconds} for m in bench.measured],
    }
    (root / "result.json").write_text(json.dumps(run, indent=2) + "\n")
    with (root / HISTORY).open("a") as history:
        history.write(json.dumps(run) + "\n")
    _say(f"\n{root / 'result.json'}; every run so far: {root / HISTORY}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
