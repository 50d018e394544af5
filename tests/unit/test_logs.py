"""The log of a long-running engine: one line an event, clean, without secrets, and not the same again and again."""

import json
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.events import AlertChanged, AnyEvent, JobChanged, LogLine, WindowFailed
from core.monitoring.logs import MOST_REPEATS, Line, Log, Repeats
from tests.fakes import ManualClock

AT = 1_750_010_400.0
HOSTILE = 'a\x1b[31mred\nnewline "quoted" \ud800 \u202eevil'


def line(text: str = "hello", **more: object) -> LogLine:
    return LogLine(time=AT, level="info", text=text, **more)  # type: ignore[arg-type]


def logged(path: Path, events: list[AnyEvent], form: str = "json", secrets: tuple[str, ...] = ()) -> list[str]:
    log = Log(form, path, secrets, ManualClock())
    for event in events:
        log.hear(event)
    log.close()
    return path.read_text().splitlines()


def test_a_line_says_when_how_bad_what_and_of_which_job(tmp_path: Path) -> None:
    [text] = logged(tmp_path / "log", [line(source="journal", job="j-1")], "text")
    assert text == "2025-06-15T18:00:00Z INFO     hello [source=journal job=j-1]"
    [form] = logged(tmp_path / "other", [line(source="journal", job="j-1")])
    assert json.loads(form) == {
        "time": "2025-06-15T18:00:00Z",
        "level": "info",
        "message": "hello",
        "source": "journal",
        "job": "j-1",
    }


def test_runs_are_told_when_their_state_changes(tmp_path: Path) -> None:
    job = JobChanged(time=AT, job="j-1", run_id="r-1", data_type="spot_ohlcv", interval="1m", state="running")
    failed = JobChanged(
        time=AT, job="j-1", run_id="r-1", data_type="spot_ohlcv", interval="1m", state="failed", error="no such pair"
    )
    found = [json.loads(each) for each in logged(tmp_path / "log", [job, job, job, failed])]
    assert [(each["level"], each["message"], each["run"]) for each in found] == [
        ("info", "spot_ohlcv 1m: running", "r-1"),
        ("error", "spot_ohlcv 1m: failed, no such pair", "r-1"),
    ]


def test_alerts_and_windows_are_told_with_what_they_are_about(tmp_path: Path) -> None:
    alert = AlertChanged(
        time=AT, alert="a", rule="gaps_open", level="CRITICAL", state="firing", since=AT, message="4 gaps", source="x"
    )
    window = WindowFailed(time=AT, job="j-1", series="s/k/B/1m", start=int(AT), end=int(AT), attempts=3, error="no")
    first, second = (json.loads(each) for each in logged(tmp_path / "log", [alert, window]))
    assert (first["level"], first["message"], first["rule"]) == ("critical", "alert firing: 4 gaps", "gaps_open")
    assert (second["level"], second["series"], second["job"]) == ("error", "s/k/B/1m", "j-1")


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_others_wrote_breaks_no_line(tmp_path: Path, form: str) -> None:
    [found] = logged(tmp_path / "log", [line(HOSTILE, source=HOSTILE)], form)
    assert not set("\x1b\n\ud800\u202e") & set(found)
    if form == "json":
        assert json.loads(found)["message"].startswith("a [31mred newline")


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    text = "key 0123456789abcdef at postgresql://me:hunter2@host/db?password=hunter3"
    [found] = logged(tmp_path / "log", [line(text)], "text", ("0123456789abcdef", "me"))
    assert "0123456789abcdef" not in found
    assert "hunter" not in found
    assert found.count("***") == 3


def test_the_same_is_said_once_a_minute_with_how_often() -> None:
    repeats, same = Repeats(), Line(AT, "error", "the store is away")
    assert [repeats.passes(same, now) for now in (0.0, 1.0, 59.0, 60.0, 61.0)] == [0, None, None, 2, None]
    assert repeats.passes(Line(AT, "error", "something else"), 62.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats()
    for at in range(3 * MOST_REPEATS):
        repeats.passes(Line(AT, "info", f"text {at}"), 0.0)
    assert len(repeats._said) == MOST_REPEATS


def test_after_it_was_moved_a_new_file_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log("text", path, (), ManualClock())
    log.hear(line("before"))
    path.rename(tmp_path / "log.1")
    log.reopen()
    log.hear(line("after"))
    log.close()
    assert "before" in (tmp_path / "log.1").read_text()
    assert "after" in path.read_text()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"serve.log_file: .*none/log: No such file"):
        Log("text", tmp_path / "none" / "log", ())
