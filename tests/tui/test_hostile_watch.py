"""Hostile text in alerts, silences, the journal, figures and on the command line is only text."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from archive_fakes_watch import NOON, alert_past, components, journal, run_series, silences, spent, stored_types
from dashboard_fakes import FakeArchive, FakeEngine, bench, hello, job
from test_hostile import CORPUS, FORBIDDEN, drawn

from core.events import (
    AlertChanged,
    CacheSample,
    GapFound,
    MonthUsage,
    QuotaSample,
    QuotaWindow,
    RetryScheduled,
    RowsQuarantined,
    SeriesChanged,
    WindowFailed,
)
from tui.archive.alerts import AlertPast
from tui.archive.figures import Component, Past, Spent, StoredType, Timing
from tui.folding import reduce_many
from tui.lookups import Answer
from tui.screens.live import LiveScreen
from tui.state import ViewState
from tui.views import alert, alerts, cache, health, job_series, jobs, quota, types
from tui.views import silences as silence_views
from tui.views.frame import Canvas, Listing, View, plain


class Poisoned(FakeArchive):
    """`text` in every field of an answer that holds text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.kept_silences = [
            replace(each, rule=text, source=text, level=text) for each in silences(author=text, comment=text)
        ]
        self.journal = journal(label=text, error=text, data_type=text, interval=text, engine=text, host=text, job=text)

    def alert_past(self, alert: str) -> AlertPast:
        return alert_past(self.text)

    def run_series(self, run_id: str) -> dict[str, SeriesChanged]:
        return {each.series: each for each in run_series(run_id, self.text)}

    def data_types(self) -> Sequence[StoredType]:
        return stored_types(self.text)

    def spent(self) -> Spent:
        return spent(self.text)

    def past(self, seconds: int) -> Past:
        known = super().past(seconds)
        timing = Timing(self.text, self.text, 1, 0.5, 0.1, 0.2)
        return replace(known, curves={**known.curves, f"hits/{self.text}": (1.0, None)}, timings=(timing,))

    def components(self) -> Sequence[Component]:
        return [*components(self.text), Component(self.text, self.text, self.text)]


def poison(engine: FakeEngine, text: str) -> None:
    alert = AlertChanged(
        alert=text, rule=text, level="ERROR", state="firing", since=NOON, message=text, source=text, doing=text,
        command=text, acked_by=text, acked_until=NOON + 9_000, inhibited_by="b", incident=text, value=float("nan"),
    )  # fmt: skip
    engine.publish(
        job(1, "failed"),
        SeriesChanged(job="j-0001", series=text or "s", state=text, reason=text, error=text, retry_at=float("inf")),
        alert,
        AlertChanged(
            alert="b", rule=text, level=text, state=text, since=float("-inf"), message=text, inhibited_by=text
        ),
        CacheSample(tier=text, hits=1, misses=0, entries=1, bytes=1, evictions=1, kinds={text: {text: 1, "misses": 2}}),
        QuotaSample(
            windows=(QuotaWindow(text, 10, 1, NOON),), account=text, month=MonthUsage(1, 2, 3, float("inf"), 1e300)
        ),
    )


def troubles(text: str) -> list[RetryScheduled | WindowFailed | GapFound | RowsQuarantined]:
    of = {"job": "j-0001", "series": text or "s"}
    return [
        RetryScheduled(**of, start=10**17, attempt=1, wait=float("inf"), error=text),
        WindowFailed(**of, start=-(10**17), end=10**17, attempts=1, error=text),
        GapFound(**of, start=0, end=1, cause=text),
        RowsQuarantined(**of, reason=text, rows=1),
    ]


def lines(view: View) -> list[str]:
    return [view.title, view.aside, *(plain(line) for line in (view.head, *map(view.line, view.keys), *view.empty))]


@pytest.mark.parametrize("text", CORPUS, ids=range(len(CORPUS)))
@pytest.mark.parametrize("width", [38, 120, 200])
def test_no_view_passes_it_on(text: str, width: int) -> None:
    engine, archive, canvas = FakeEngine(), Poisoned(text), Canvas(width, time=NOON)
    poison(engine, text)
    state = reduce_many(ViewState(), [engine.bus.snapshot(), hello(), *troubles(text)], 1.0)
    alerts_known = state.alerts
    past = Answer(archive.alert_past(""), 1.0)
    views = [
        alerts.view(state, Listing(list(alerts_known), alerts.DEFAULT), canvas),
        *(alert.facts_view(each, alerts_known, canvas) for each in alerts_known.values()),
        alert.changes_view(past, canvas),
        alert.notices_view(past, canvas),
        silence_views.view(Answer(archive.silences(), 1.0), {}, canvas),
        *(job_series.counters_view(each, text, canvas) for each in state.series["j-0001"].values()),
        *(job_series.troubles_view(known, canvas, text) for known in state.troubles.values()),
        cache.tiers_view(state, canvas),
        cache.kinds_view(state, canvas),
        cache.rates_view(state, Answer(archive.past(60), 1.0), canvas),
        quota.limits_view(state, canvas),
        quota.forecast_view(state, Answer(archive.spent(), 1.0), canvas),
        quota.spent_view(
            Answer(spent(text), 1.0), Listing(list(quota.taken_of(Answer(spent(text)))), quota.DEFAULT), canvas
        ),
        health.view(state, Answer(archive.components(), 1.0), canvas),
        health.timings_view(Answer(archive.past(60), 1.0), canvas),
        types.view(Answer(archive.data_types(), 1.0), state.jobs, canvas),
        jobs.view(state, Listing(list(archive.journal), jobs.DEFAULT), canvas, archive.journal),
    ]
    for view in views:
        # Titles are made fit by the pane that shows them.
        for line in lines(view)[2:]:
            assert not FORBIDDEN & set(line), view.title


WALK = (
    *(
        "2",
        "G",
        "enter",
        "enter",
        "enter",
        "escape",
        "4",
        "G",
        "enter",
        "tab",
        "enter",
        "escape",
        "4",
        "g",
        "a",
        "escape",
    ),
    *("Z", "enter", "escape", "u", "tab", "tab", "enter", "escape", "u", "escape", "5", "7"),
)
NASTY = [CORPUS[at] for at in (0, 4, 5, 13, 16)]


@pytest.mark.slow
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_no_screen_passes_it_on(text: str) -> None:
    engine = FakeEngine()
    poison(engine, text)
    made = bench(engine, archive=Poisoned(text), user=text)
    engine.refusal = text
    async with made.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        engine.publish(*troubles(text))
        await pilot.pause()
        made.app.flush()
        seen = drawn(made.app.screen)
        for key in WALK:
            await pilot.press(key)
            made.app.flush()
            if isinstance(made.app.screen, LiveScreen):
                seen += [*drawn(made.app.screen), *made.app.screen.tabs.text_lines()]
            else:
                assert "\x1b" not in made.app.export_screenshot()
        assert made.app.is_running
        assert made.app.return_value is None
        assert not [line for line in seen if "this pane failed" in line]
        assert not [line for line in seen if FORBIDDEN & set(line)]


@pytest.mark.slow
@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_a_hostile_command_is_only_refused(text: str) -> None:
    made = bench(FakeEngine(), archive=Poisoned(text))
    async with made.app.run_test(size=(100, 30)) as pilot:
        for line in (f"ack {text}", f"jobs {text}", f"theme {text}", f"silence {text} {text}", text):
            await pilot.press("escape", "colon")
            assert isinstance(made.app.screen, LiveScreen)
            made.app.screen.command.line.value = line
            await pilot.press("tab", "enter")
        await pilot.pause()
        assert "\x1b" not in made.app.export_screenshot()
        assert made.app.is_running
        assert made.app.return_value is None
