"""What an operator is told: to the log, to a webhook, once, and without a word of anybody's data.

The webhook is a server of the standard library in this process.
"""

import datetime as dt
import http.server
import io
import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from program import land, run_program

from dagster_project import __main__ as program
from dagster_project import night, notices, settings, state
from dagster_project.core import arrivals
from dagster_project.core.exports import load_exports
from dagster_project.core.extraction import Extractor
from dagster_project.core.lake import Lake
from dagster_project.core.ledger import read_ledger, unquoted
from dagster_project.core.staleness import Rules
from dagster_project.notices import Notice

LATE = Notice("late_export", "billing/invoices", "billing/invoices is late.")
EXPORTS = load_exports(settings.STAGING_DIR)
BERLIN = ZoneInfo("Europe/Berlin")


class Webhook:
    """Takes what is posted to `url`, and answers with `status`."""

    def __init__(self) -> None:
        self.status, self.taken = 200, list[Any]()
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                webhook.taken.append(json.loads(self.rfile.read(length)))
                self.send_response(webhook.status)
                if 300 <= webhook.status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks/s3cret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def texts(self) -> list[str]:
        return [posted["text"] for posted in self.taken]


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    hook = Webhook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


def test_a_notice_is_logged_and_posted_in_its_documented_shape(webhook: Webhook) -> None:
    logged: list[str] = []
    notices.notify(LATE, webhook.url, logged.append)
    assert logged == ["billing/invoices is late."]
    [posted] = webhook.taken
    assert dt.datetime.fromisoformat(posted.pop("at")).tzinfo == dt.UTC
    assert posted == {
        "kind": "late_export",
        "subject": "billing/invoices",
        "text": "billing/invoices is late.",
    }


def test_without_a_webhook_a_notice_is_logged() -> None:
    logged: list[str] = []
    notices.notify(LATE, None, logged.append)
    assert logged == ["billing/invoices is late."]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_logged_without_its_address(
    webhook: Webhook, status: int
) -> None:
    webhook.status = status
    logged: list[str] = []
    notices.notify(LATE, webhook.url, logged.append)
    assert len(webhook.taken) == 1  # a redirection is not followed
    assert logged[1].startswith("The webhook did not take the notice: HTTPError")
    assert "s3cret" not in logged[1]


def test_a_webhook_that_is_not_there_or_does_not_answer_fails_nothing(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "TIMEOUT", 0.2)
    webhook.server.shutdown()  # still accepts, never answers
    assert "TimeoutError" in (notices.post(LATE, webhook.url) or "")
    webhook.server.server_close()
    assert "refused" in (notices.post(LATE, webhook.url) or "")


@pytest.mark.parametrize(
    ("url", "is_good"),
    [
        ("https://hooks.example.com/services/T0/B0/x", True),
        ("http://127.0.0.1:8080/", True),
        ("file:///etc/passwd", False),
        ("ftp://example.com/", False),
        ("hooks.example.com/x", False),
        ("https://", False),
        ("https://example.com:port/", False),
        ("https://example.com/a b", False),
    ],
)
def test_only_web_addresses_are_webhooks_and_none_is_shown(
    monkeypatch: pytest.MonkeyPatch, url: str, is_good: bool
) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK", url)
    settings.current.cache_clear()
    try:
        if is_good:
            assert settings.current().notify_webhook == url
            assert url not in repr(settings.current())
        else:
            with pytest.raises(settings.SettingsError) as refused:
                settings.current()
            assert str(refused.value) == "NOTIFY_WEBHOOK must be an http or https URL."
    finally:
        monkeypatch.undo()
        settings.current.cache_clear()


# --- Which sentence ------------------------------------------------------------------------------


SECRET = "jane.doe@example.com"


@pytest.mark.parametrize(
    "content",
    [
        f"{SECRET},Jane,1\nb,c,2\n",  # no header
        f"{SECRET},{SECRET},user_id\n",
        f"user_id;account_id;{SECRET}\n1;2;3\n",
        f'user_id,"{SECRET}\nb,c,2\n',
        f"{SECRET}\0\n",
        "\n".join(f"{SECRET},{n}" for n in range(3)),
    ],
)
def test_the_notice_of_a_failed_day_quotes_nothing_of_its_file(
    tmp_path: Path, content: str
) -> None:
    lake, day = Lake(tmp_path), dt.date(2024, 1, 5)
    folder = lake.landing("crm", "users")
    folder.mkdir(parents=True)
    (folder / f"{day}.csv").write_text(content)
    with Extractor(lake, Rules(day, 0.1)) as extractor:
        line = extractor.extract_day(EXPORTS["crm/users"], day)
    assert not line.is_ok
    assert SECRET not in unquoted(line.error or "")
    [stale] = state.stale_exports(replace(settings.current(), data_dir=tmp_path))
    assert stale.notice.startswith("crm/users is stale: 2024-01-05 failed: 2024-01-05.csv: ")
    assert SECRET not in stale.notice


BRACKETS = [
    ("export (1).csv", "", "is empty, there is not even a header"),
    ("export (1).csv", f"user_id,a (b) {SECRET}\n", "missing column account_id, role, "),
    ("export (1).csv", f"user_id,) {SECRET} (\n", "missing column account_id, role, "),
    ("a: b (1).csv", f"user_id,({SECRET})\n", "missing column account_id, role, "),
    ("a\\: (1).csv", f"user_id,({SECRET})\n", ""),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BRACKETS)
def test_a_name_with_brackets_is_told_and_what_stands_in_the_file_is_not(
    tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    lake, day = Lake(tmp_path), dt.date(2024, 1, 5)
    folder = lake.landing("crm", "users") / str(day)
    folder.mkdir(parents=True)
    (folder / name).write_text(content)
    (folder / f"{SECRET}.csv").write_text("")  # the name of a file is told, but of its own sentence
    with Extractor(lake, Rules(day, 0.1)) as extractor:
        line = extractor.extract_day(EXPORTS["crm/users"], day)
    assert content == "" or SECRET in (line.error or "")
    [stale] = state.stale_exports(replace(settings.current(), data_dir=tmp_path))
    told = f"{day}/{name}: {sentence}" if sentence else f"{day}/a"
    assert stale.notice.startswith(f"crm/users is stale: 2024-01-05 failed: {told}")
    assert SECRET not in stale.notice


def test_of_several_failed_days_each_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_project.defs import raw_exports

    folder = Lake(tmp_path).landing("crm", "users")
    for day, content in ((5, f"user_id,({SECRET}) (\n"), (6, ""), (7, f"user_id,{SECRET}\n")):
        file = folder / f"2024-01-0{day}" / f"export ({day}).csv"
        file.parent.mkdir(parents=True)
        file.write_text(content)
        for path in (file, file.parent):
            os.utime(path, (1, 1))
    monkeypatch.setattr(raw_exports, "_lake", Lake(tmp_path))
    asset = raw_exports.raw_export(EXPORTS["crm/users"])
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [asset], instance=instance, raise_on_error=False, resources={"lock": None}
        )
    [failure] = [event for event in done.all_events if event.is_step_failure]
    text = notices.of_failed_run("extract", [failure]).text
    assert SECRET not in text
    missing = "missing column " + ", ".join(c.name for c in EXPORTS["crm/users"].columns[1:])
    assert text == (
        "extract failed at crm/users"
        f" (2024-01-05: 2024-01-05/export (5).csv: {missing};"
        " 2024-01-06: 2024-01-06/export (6).csv: is empty, there is not even a header;"
        f" 2024-01-07: 2024-01-07/export (7).csv: {missing})."
    )


def test_a_night_tells_what_it_published_stale_and_why_it_published_nothing(
    tmp_path: Path,
) -> None:
    chosen = replace(settings.current(), data_dir=tmp_path)
    land(tmp_path, "crm/users", dt.date(2024, 1, 5), [{"user_id": 1, SECRET: 1}])
    with Extractor(Lake(tmp_path), Rules(dt.date(2024, 1, 5), 0.1)) as extractor:
        extractor.extract_day(EXPORTS["crm/users"], dt.date(2024, 1, 5))
    report = night.Report(io.StringIO())
    report.is_published = True
    [stale] = report.notices(chosen)
    assert (stale.kind, stale.subject) == ("stale_export", "crm/users")
    assert stale.text.startswith("crm/users is stale: 2024-01-05 failed: 2024-01-05.csv: missing")
    assert SECRET not in stale.text
    report.is_published, report.broken_off = False, "The disk is full (100 %)"
    [failed] = report.notices(chosen)
    assert failed == Notice("run_failed", "make run", "make run failed: The disk is full.")
    # As where the release was switched to and Dagster could not keep its own records.
    report.is_published = True
    assert report.notices(chosen) == [stale, failed]
    assert report.what_broke_off(chosen) == ["The run broke off: The disk is full (100 %)"]


def failures_of(body: Callable[[], None]) -> Notice:
    """What is told of a run whose one step does this."""

    @dg.asset(key=["billing", "invoices"])
    def failing() -> None:
        body()

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([failing], instance=instance, raise_on_error=False)
    events = [event for event in done.all_events if event.is_step_failure]
    return notices.of_failed_run("extract", events)


def test_a_failed_extraction_that_left_no_export_stale_is_told_too(tmp_path: Path) -> None:
    report = night.Report(io.StringIO())

    @dg.asset(key=["billing", "invoices"])
    def failing() -> None:
        raise ValueError(SECRET)

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(run_id := str(uuid.uuid4()), report.hear)
        dg.Definitions([failing]).resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, run_id=run_id, raise_on_error=False
        )
    report.is_published = True
    [told] = report.notices(replace(settings.current(), data_dir=tmp_path))
    assert told == Notice(
        "run_failed", "extract", "extract failed at billing/invoices (ValueError)."
    )
    [sentence] = report.what_broke_off(replace(settings.current(), data_dir=tmp_path))
    assert sentence.startswith("billing/invoices failed: ")


def test_a_check_of_a_step_tried_again_is_told_once_and_a_step_that_never_began_not_at_all(
    tmp_path: Path,
) -> None:
    report = night.Report(said := io.StringIO())

    @dg.multi_asset(
        specs=[dg.AssetSpec("tried")],
        check_specs=[dg.AssetCheckSpec("holds", asset="tried")],
        retry_policy=dg.RetryPolicy(max_retries=1),
    )
    def tried(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield dg.AssetCheckResult(passed=context.retry_number > 0)
        if context.retry_number == 0:
            raise ValueError("not yet")
        yield dg.MaterializeResult("tried")

    @dg.asset
    def failing() -> None:
        raise ValueError("why")

    @dg.asset(deps=[failing])
    def never() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(run_id := str(uuid.uuid4()), report.hear)
        declared = dg.Definitions([tried, failing, never])
        declared.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, run_id=run_id, raise_on_error=False
        )
    report.sum_up(replace(settings.current(), data_dir=tmp_path))
    assert "1 tables built; 1 checks passed, 0 warned, 0 failed." in said.getvalue()
    assert "never" not in said.getvalue()


def test_a_night_that_left_an_export_out_says_so_in_its_last_line_and_by_its_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = replace(settings.current(), data_dir=tmp_path)
    land(tmp_path, "crm/users", dt.date(2024, 1, 5), [])
    monkeypatch.setattr(night, "run", lambda _: ["crm/users broke off: why."])
    assert program.run(chosen) == program.STALE
    assert capsys.readouterr().out.splitlines()[-1] == "crm/users broke off: why."


def test_a_failed_run_is_told_in_our_words_or_by_the_kind_of_the_error() -> None:
    def bad_file() -> None:
        raise dg.Failure("2024-01-05: a.csv: missing column x (the header is: Jane Doe)")

    def engine() -> None:
        raise ValueError("could not convert 'Jane Doe' to a number")

    def dbt() -> None:
        raise RuntimeError(
            "dbt failed\n\nErrors parsed from dbt logs:\n\n  Database Error in model int_a__b"
            " (models/x.sql)\n  'Jane Doe'\n\n  Failure in test assert_c (tests/assert_c.sql)"
        )

    assert failures_of(bad_file).text == (
        "extract failed at billing/invoices (2024-01-05: a.csv: missing column x)."
    )
    assert failures_of(engine).text == "extract failed at billing/invoices (ValueError)."
    assert failures_of(dbt).text == "extract failed at billing/invoices (int_a__b, assert_c)."
    assert notices.of_failed_run("extract", (), "Killed.").text == "extract failed: Killed."


@pytest.mark.parametrize("variable", ["VARS", "SYSTEMS"])
def test_a_setting_that_makes_no_sense_is_told_without_its_value(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK", webhook.url)
    monkeypatch.setenv(variable, "nonsense")
    monkeypatch.setattr(sys, "argv", ["dagster_project", "run"])
    monkeypatch.setattr(settings, "current", settings.current.__wrapped__)
    assert program.main() == program.UNUSABLE
    assert webhook.texts() == ["make run failed: SettingsError."]


# --- Late exports --------------------------------------------------------------------------------


def late(root: Path, now: str) -> str | None:
    moment = dt.datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    lake = Lake(root)
    return arrivals.lateness(
        EXPORTS["crm/users"], lake, read_ledger(lake), hours=30, zone=BERLIN, now=moment
    )


def test_an_export_is_late_once_its_next_day_is_overdue(tmp_path: Path) -> None:
    assert late(tmp_path, "2024-01-07T07:00") is None  # never arrived: optional
    land(tmp_path, "crm/users", dt.date(2024, 1, 5), [{"user_id": "u"}])
    land(tmp_path, "crm/users", dt.date(2062, 1, 5), [{"user_id": "u"}])
    assert late(tmp_path, "2024-01-07T06:00") is None
    assert late(tmp_path, "2024-01-07T06:01") == (
        "crm/users is late: the newest day that has landed is 2024-01-05, and the next was due by"
        " 2024-01-07 06:00 (Europe/Berlin)."
    )
    land(tmp_path, "crm/users", dt.date(2024, 1, 6), [{"user_id": "u"}])
    assert late(tmp_path, "2024-01-07T06:01") is None


def test_a_contract_may_name_its_own_hours() -> None:
    chosen, users = settings.current(), EXPORTS["crm/users"]
    weekly = replace(users, late_after_hours=200)
    assert state.late_after_hours(chosen, users) == 30
    assert state.late_after_hours(chosen, weekly) == 200
    assert weekly.fingerprint == users.fingerprint  # nothing is extracted again for it
    never = replace(chosen, policies={**chosen.policies, "late_after_hours": None})
    assert state.late_after_hours(never, weekly) is None


@pytest.fixture
def sensors(tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Any:
    """defs/notices.py on a folder of its own."""
    from dagster_project import definitions  # noqa: F401 - what the daemon loads

    module = __import__("dagster_project.defs.notices", fromlist=["notices"])
    chosen = replace(settings.current(), data_dir=tmp_path, notify_webhook=webhook.url)
    monkeypatch.setattr(module, "_settings", chosen)
    monkeypatch.setattr(module, "_lake", Lake(tmp_path))
    return module


def test_a_late_export_is_told_of_once_a_day(
    tmp_path: Path, webhook: Webhook, sensors: Any
) -> None:
    land(tmp_path, "crm/users", dt.date(2024, 1, 5), [{"user_id": "u"}])
    told = sensors.exports_late(dg.build_sensor_context())
    assert len(webhook.taken) == 1
    assert webhook.texts()[0].startswith("crm/users is late: the newest day that has landed is")
    again = sensors.exports_late(dg.build_sensor_context(cursor=told.cursor))
    assert len(webhook.taken) == 1
    yesterday = json.dumps({"crm/users": "2024-01-07"})
    sensors.exports_late(dg.build_sensor_context(cursor=yesterday))
    assert len(webhook.taken) == 2
    assert again.cursor == told.cursor


def test_of_many_late_exports_each_tick_tells_a_few(
    tmp_path: Path, webhook: Webhook, sensors: Any
) -> None:
    names = sorted(EXPORTS)[: sensors.POSTS_OF_A_TICK + 2]
    for name in names:
        land(tmp_path, name, dt.date(2024, 1, 5), [{"what": 1}])
    first = sensors.exports_late(dg.build_sensor_context())
    assert len(webhook.taken) == sensors.POSTS_OF_A_TICK
    second = sensors.exports_late(dg.build_sensor_context(cursor=first.cursor))
    assert sorted(text.split()[0] for text in webhook.texts()) == names
    sensors.exports_late(dg.build_sensor_context(cursor=second.cursor))
    assert len(webhook.taken) == len(names)


def test_a_failed_run_is_told_of_unless_it_told_of_itself(webhook: Webhook, sensors: Any) -> None:
    @dg.op
    def breaks() -> None:
        raise dg.Failure("The disk is full.")

    @dg.job
    def extract() -> None:
        breaks()

    def sense(tags: dict[str, str], message: str = "") -> None:
        with dg.DagsterInstance.ephemeral() as instance:
            done = extract.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
            event = done.get_run_failure_event()
            context = dg.build_run_status_sensor_context(
                "run_failed", event._replace(message=message or event.message), instance,
                done.dagster_run,
            )  # fmt: skip
            sensors.run_failed(context.for_run_failure())

    sense({})
    sense({"launched_by": "make run"})
    sense({"launched_by": "make run"}, "Its process is gone, as after a kill -9.")
    assert webhook.texts() == ["extract failed at breaks (The disk is full)."] * 2


def test_make_run_tells_of_itself(tmp_path: Path, webhook: Webhook) -> None:
    (tmp_path / ".lock").mkdir(parents=True)
    land(tmp_path, "crm/users", dt.date(2024, 1, 5), [{"user_id": "u"}])
    run = run_program(tmp_path, NOTIFY_WEBHOOK=webhook.url)
    assert run.returncode == program.NOT_PUBLISHED
    assert webhook.texts() == [f"make run failed: Is a directory: {tmp_path / '.lock'}."]
    assert os.environ.get("NOTIFY_WEBHOOK") is None
