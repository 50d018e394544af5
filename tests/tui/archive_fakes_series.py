"""A store's answers about single series, each a plain function of the series' name."""

import math
import random
from collections.abc import Mapping, Sequence

from core.windows import GRAINS, Window
from tui.archive.series import Bar, Coverage, Hole, Refused, Restatement, StoredSeries
from tui.coverage import month_window

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
DAY = 86_400
HISTORY_START = 1_617_235_200  # 2021-04-01
ROW = '{"UNIT":"DAY","TIMESTAMP":1795305600,"OPEN":94012.1,"HIGH":93000.0,"LOW":93900.2,"CLOSE":93950.7}'


class SeriesFakes:
    """Answers about the series that `stored` has; `refusal` is raised instead when there is one."""

    stored: dict[str, StoredSeries]

    def _ask(self, what: str) -> None:
        """Note that it was asked; raise what the test wants raised."""

    def coverages(self) -> Mapping[str, Coverage]:
        self._ask("coverages")
        return {name: coverage_of(series) for name, series in self.stored.items()}

    def coverage(self, series: str) -> Coverage:
        self._ask("coverage")
        return coverage_of(self.stored[series])

    def bars(self, series: str, count: int, span: Window | None = None) -> Sequence[Bar]:
        self._ask("bars")
        found = bars_of(self.stored[series])
        within = [bar for bar in found if span is None or span.start <= bar.start < span.end]
        return within[-count:]

    def holes(self, series: str) -> Mapping[str, Hole]:
        self._ask("holes")
        return {f"{hole.kind} {hole.start}": hole for hole in holes_of(self.stored[series])}

    def restatements(self, series: str) -> Mapping[str, Restatement]:
        self._ask("restatements")
        return {f"{change.bar} {change.column}": change for change in restatements_of(self.stored[series])}

    def refused(self, series: str) -> Mapping[str, Refused]:
        self._ask("refused")
        return {str(record.id): record for record in refused_of(self.stored[series])}


def bars_of(series: StoredSeries, count: int = 3_000) -> list[Bar]:
    """A seeded walk that ends with the newest bar, which still runs; one slot in 41 has no bar."""
    draw = random.Random(series.instrument)
    if series.last_bar is None:
        return []
    if series.data_type == "futures_funding_rate":
        return [_rate(series, back) for back in range(count, -1, -1)]
    price, found = 40_000.0, []
    for back in range(count, -1, -1):
        opens, price = price, price * (1 + draw.gauss(0.0002, 0.006))
        high, low = max(opens, price) * (1 + draw.random() * 0.004), min(opens, price) * (1 - draw.random() * 0.004)
        if back % 41 != 17:
            start, amount = series.last_bar - back * series.seconds, 120 + 900 * draw.random()
            found.append(Bar(start, back > 0, opens, high, low, price, amount))
    return found


def _rate(series: StoredSeries, back: int) -> Bar:
    rate = 1e-4 * math.sin(back / 9) + 3e-5
    return Bar((series.last_bar or 0) - back * series.seconds, back > 0, rate, rate, rate, rate, 480.0)


def coverage_of(series: StoredSeries) -> Coverage:
    """Asked for since 2021 but for two months, with a gap of a week, one of a day, and one at the end that is new."""
    grain = GRAINS[series.interval]
    ends = grain.floor(int(NOON)) if series.ends is None else series.ends
    unasked, week = month_window(12 * 2023 + 4), month_window(12 * 2022 + 7).start
    return Coverage(
        seconds=series.seconds,
        start=HISTORY_START,
        pruned_before=None,
        asked=(Window(HISTORY_START, unasked.start), Window(unasked.end + 20 * DAY, ends)),
        gaps=(Window(ends - 2 * DAY, ends - DAY),) if series.gaps else (),
        explained=(Window(week, week + 7 * DAY), Window(week + 90 * DAY, week + 91 * DAY)),
    )


def holes_of(series: StoredSeries) -> list[Hole]:
    ends = series.ends or int(NOON)
    seen = (int(NOON) - 7_200, int(NOON) - 3_600)
    holes = [
        Hole("gap", ends - 2 * DAY, ends - DAY, DAY // series.seconds, "unknown", "new",
             "to tell a silent market from a silent instrument 2 other series of kraken have to be stored",
             "the first run from 2026-11-23T13:00:00Z on that covers it asks again; now: tapewatch gaps repair", 1,
             *seen),
        Hole("gap", ends - 40 * DAY, ends - 33 * DAY, 7 * DAY // series.seconds, "market_silent", "confirmed",
             "none of the 12 other series of kraken has a bar then",
             "confirmed by 3 sightings, so asked again only from 2026-11-30 on; now: tapewatch gaps repair --all",
             3, *seen),
        Hole("given up", ends - 5 * DAY, ends - 4 * DAY, DAY // series.seconds, "failed_fetch", "given up",
             "after 5 attempts: HTTP 500: internal error", "the next run that covers it asks again", 1,
             *seen),
        Hole("suspect", ends - 3 * DAY, ends - 3 * DAY + series.seconds, 1, "price_spike", "warning",
             "the close is 14 deviations away from its neighbours", "nothing by itself: the bars stay as they are",
             2, *seen),
    ]  # fmt: skip
    return holes[: 4 if series.gaps else 0]


def restatements_of(series: StoredSeries) -> list[Restatement]:
    last, seen = series.last_bar or int(NOON), int(NOON) - 1_800
    return [
        Restatement(seen, last - series.seconds, "close", 93_950.7, 93_961.2, "r-0001"),
        Restatement(seen, last - series.seconds, "volume", 512.25, 514.5, "r-0001"),
        Restatement(seen - DAY, last - 9 * series.seconds, "high", 94_100.0, None, "r-0000"),
    ][: 3 if series.gaps else 0]


def refused_of(series: StoredSeries) -> list[Refused]:
    last, seen = series.last_bar or int(NOON), int(NOON) - 600
    return [
        Refused(7, last, last + 1, True, "high_below_low", "HIGH 93000.0 < LOW 93900.2", ROW, "open", 2, seen,
                "r-0001"),
        Refused(5, last - DAY, last, False, "not_json", "unexpected end", '{"Data":[{"UNIT":"D', "filled", 1,
                seen - DAY, "r-0000"),
    ][: 2 if series.gaps else 0]  # fmt: skip
