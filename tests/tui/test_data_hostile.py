"""What others wrote about series is only text, wherever the Data tab and the screens below it show it."""

import io
from dataclasses import replace
from typing import Any

import pytest
from archive_fakes_series import bars_of, holes_of, refused_of, restatements_of
from dashboard_fakes import FakeArchive, bench, stored_series
from test_hostile import CORPUS, FORBIDDEN, drawn

from tui.screens.live import LiveScreen
from tui.screens.modals import Reader


class Poisoned(FakeArchive):
    """Series whose names are `text`, and that have it in every field that holds text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        plain = dict(stored_series(6))
        self.text = text
        self.stored = {
            f"{text}{number}": replace(series, data_type=text, market=text, instrument=text)
            for number, series in enumerate(plain.values())
        }
        self.stored[f"spot_ohlcv/{text}/x/1d"] = next(iter(plain.values()))

    def bars(self, series: str, count: int, span: Any = None) -> Any:
        return bars_of(self.stored[series], min(count, 50))

    def holes(self, series: str) -> Any:
        poison = dict.fromkeys(("kind", "cause", "state", "words", "next"), self.text)
        return {
            f"{self.text}{hole.start}": replace(hole, **poison) for hole in holes_of(_troubled(self.stored[series]))
        }

    def restatements(self, series: str) -> Any:
        changes = restatements_of(_troubled(self.stored[series]))
        poison = dict.fromkeys(("column", "old", "new", "run_id"), self.text)
        return {f"{self.text}{at}": replace(change, **poison) for at, change in enumerate(changes)}

    def refused(self, series: str) -> Any:
        poison = dict.fromkeys(("reason", "detail", "raw", "state", "run_id"), self.text)
        return {f"{self.text}{each.id}": replace(each, **poison) for each in refused_of(_troubled(self.stored[series]))}


def _troubled(series: Any) -> Any:
    return replace(series, gaps=1)


def seen_on(screen: object) -> list[str]:
    if isinstance(screen, Reader):
        return screen.list.text_lines()
    return [*drawn(screen), *screen.tabs.text_lines()] if isinstance(screen, LiveScreen) else []


# One text of each kind that has ever got through anywhere; the others take their time.
SOON = {0, 4, 6, 13}
TEXTS = [pytest.param(text, marks=() if at in SOON else pytest.mark.slow) for at, text in enumerate(CORPUS)]


@pytest.mark.slow
@pytest.mark.parametrize("text", TEXTS, ids=range(len(CORPUS)))
async def test_hostile_text_about_series_is_only_text(text: str) -> None:
    made = bench(archive=Poisoned(text))
    seen: list[str] = []
    async with made.app.run_test(size=(160, 50)) as pilot:
        for keys in (("3",), ("m",), ("m", "enter"), ("tab", "tab", "enter"), ("escape", "tab", "enter"),
                     ("escape", "tab", "enter"), ("escape", "y", "c"), ("left_square_bracket",), ("escape", "escape"),
                     ("G", "enter"), ("escape", "slash", "x")):  # fmt: skip
            await pilot.press(*keys)
            await pilot.pause()
            made.app.flush()
            await pilot.pause()
            seen += seen_on(made.app.screen)
        await pilot.press("escape")
        for _ in range(2):
            await pilot.click("#stored", offset=(20, 3))
        await pilot.pause()
        assert made.app.is_running
        assert made.app.return_value is None
        assert len(seen) > 300
        assert not [line for line in seen if "this pane failed" in line]
        assert not [line for line in seen if FORBIDDEN & set(line)]
        assert "\x1b" not in io.StringIO(made.app.export_screenshot()).getvalue()
