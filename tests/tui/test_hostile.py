"""Text that others wrote is text: it runs no markup, no action, no escape sequence, and breaks no line."""

import io

import pytest
from dashboard_fakes import NOON, FakeEngine, bench, engine_sample, hello, job

from core.events import (
    PROTOCOL,
    AlertChanged,
    CacheSample,
    GapFound,
    LogLine,
    QuotaSample,
    QuotaWindow,
    RunSummary,
    SeriesChanged,
)
from tui.screens.live import LiveScreen

CORPUS = (
    "[/red] boom",
    "[red]x[/green]",
    "[/",
    "[link=file:///etc/passwd]l[/link]",
    "[@click=app.leave_now()]x[/]",
    "\x1b]0;title\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x1b[31mred\x1b[2J",
    "\x9b31mred",
    "\u202egnp.exe",
    "\u2066isolate\u2069",
    "zero\u200bwidth\ufeff",
    "👩\u200d👩\u200d👧\u200d👦 family 日本語",
    "new\nline\r\nand\ttab\x00nul",
    "x" * 10_000,
    "\x7f\x08\x08del",
    "\ud800 lone",
    "",
)
FORBIDDEN = {chr(c) for c in (*range(0x20), 0x7F, *range(0x80, 0xA0))} | set(
    "\u202e\u2066\u2069\u200b\u200d\ufeff\ud800"
)


def poison(engine: FakeEngine, text: str) -> None:
    """`text` in every field that holds text."""
    engine.hello = hello().__class__(
        protocol=PROTOCOL, engine=text, pid=1, version=text, store=text, source=text, kind=text, read_only=False
    )
    engine.publish(
        job(1, "failed", job=text or "j", label=text, data_type=text, interval=text, error=text, run_id=text),
        job(2, "waiting", waiting=text, label=text),
        job(3, text, error=text),
        SeriesChanged(job=text or "j", series=text, state=text, reason=text, error=text, last_bar=10**17),
        SeriesChanged(job="j-0002", series=f"{text}/{text}", state="failed", error=text),
        AlertChanged(alert=text, rule=text, level=text, state="firing", since=NOON, message=text, source=text),
        AlertChanged(alert="b", rule=text, level="ERROR", state=text, since=NOON, message=text, source=text),
        CacheSample(tier=text, hits=1, misses=1, entries=1, bytes=1, evictions=1),
        QuotaSample(windows=(QuotaWindow(text, 10, 1, NOON), QuotaWindow("day", 0, 0, NOON))),
        engine_sample(),
    )


def facts(text: str) -> list[LogLine | GapFound | RunSummary]:
    return [
        LogLine(level=text, text=text, source=text),
        GapFound(job="j-0002", series=text, start=-(10**15), end=10**15, cause=text),
        RunSummary(job=text, status=text, errors=[text]),
    ]


def drawn(screen: object) -> list[str]:
    assert isinstance(screen, LiveScreen)
    lines = [line for pane in screen.panes.values() for line in pane.text_lines()]
    return [*lines, *screen.header.text_lines(), *screen.footer.text_lines()]


@pytest.mark.slow
@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
async def test_hostile_text_is_only_text(text: str) -> None:
    engine = FakeEngine()
    poison(engine, text)
    made = bench(engine)
    engine.refusal = text
    async with made.app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        engine.publish(*facts(text))
        await pilot.pause()
        made.app.flush()
        seen = drawn(made.app.screen)
        assert isinstance(made.app.screen, LiveScreen)
        assert not any("this pane failed" in line for line in seen)
        for keys in (("r", "p", "y"), ("enter",), ("4",), ("enter", "escape"), ("7",), ("enter", "escape"), ("1", "x")):
            await pilot.press(*keys)
            await pilot.pause()
            made.app.flush()
            if isinstance(made.app.screen, LiveScreen):
                seen += drawn(made.app.screen)
        await pilot.press("escape")
        await pilot.click("#jobs", offset=(20, 3))
        await pilot.click("#jobs", offset=(20, 3))
        await pilot.pause()
        assert made.app.is_running
        assert made.app.return_value is None
        assert not any("this pane failed" in line for line in seen)
        for line in seen:
            assert not FORBIDDEN & set(line)
        shown = io.StringIO(made.app.export_screenshot())
        assert "\x1b" not in shown.getvalue()
