"""Every detector over the newest bars of the series that jobs write, and what it comes to by market. Pure.

A series that is new to it is learned from its newest bars, unless what was learned of it is taken from elsewhere. Only
numbers are looked at, and each bar once. The last bars of a job's series are judged together, hour by hour, so that
markets can be compared.
"""

import json
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, TypeVar

from core.alerting import Reading
from core.datasets import SeriesKey
from core.findings import Bars, Finding, Learned
from core.monitoring.anomalies import FIGURES, KINDS, SILENCE, VOLUME, Anomaly, Detector, Observation
from core.monitoring.anomalies.memory import Place
from core.text import clean

COLUMNS = {
    "futures_open_interest": "total_open_interest_updates",
    "futures_funding_rate": "total_funding_rate_updates",
}
LEARNED_BARS, TOGETHER, AT_ONCE = 336, 24, 24
LONGEST_STATE = 65_536
RECENT_SECONDS, RECENT_BARS = 3_600, 3
"""How long an anomaly counts: so many seconds, or bars if that is more."""
MOST_MARKETS, MOST_SERIES = 200, 20_000
NAME = "anomaly"
T = TypeVar("T")


class Seen(NamedTuple):
    """The newest bar of a series, and until when it counts as unusual and why (the vendor's time)."""

    ts: int
    until: float = 0.0
    detail: str = ""


class Watch:
    """Feeds `detectors`, by name; one that raises is a defect of its author's, told to `complain` and left out."""

    def __init__(self, detectors: Mapping[str, Detector], complain: Callable[[str, Exception], None]) -> None:
        self._detectors = dict(detectors)
        self._complain = complain
        self._seen: OrderedDict[Place, Seen] = OrderedDict()
        self._silent: dict[str, Seen] = {}
        self._unsaved: dict[Place, None] = {}

    def place(self, key: SeriesKey) -> Place | None:
        """What a series is called in what is kept of it; None when its bars have been learned."""
        place = place_of(key)
        return None if place in self._seen else place

    def catch_up(self, bars: Bars) -> Iterator[None]:
        """Learn what lies back in the newest closed bars of a series, a few at each step."""
        back = self._new(bars)[:-TOGETHER]
        for at in range(0, len(back), AT_ONCE):
            for seen in back[at : at + AT_ONCE]:
                if seen.ts > self._newest(seen):
                    self._observe([seen])
                    self._remember((seen.market, seen.series), seen.ts)
            yield

    def fresh(self, bars: Bars) -> list[Observation]:
        """What is to be judged of the newest closed bars of a series that was caught up with."""
        new = self._new(bars)[-TOGETHER:]
        if new:
            self._remember((new[-1].market, new[-1].series), new[-1].ts)
        return new

    def note(self, figures: Sequence[Observation], now: float) -> None:
        """Judge figures of the engine's own, which only readings tell of. `now` is the vendor's time."""
        for seen in figures:
            self._remember((seen.market, seen.series), seen.ts)
        self.judge(figures, now)

    def judge(self, fresh: Sequence[Observation], now: float) -> list[tuple[SeriesKey, Finding]]:
        """What is unusual in bars of several series; of a market as a whole its key has no instrument.

        `now` is the vendor's time.
        """
        found = []
        for _, batch in groupby(sorted(fresh, key=attrgetter("ts")), attrgetter("ts")):
            together = list(batch)
            self._unsaved.update(dict.fromkeys((seen.market, "") for seen in together))
            for anomaly in self._observe(together):
                self._count(anomaly, together[0].seconds, now)
                found.append((_key(anomaly), _finding(anomaly)))
        return found

    def readings(self, now: float, vendor_now: float) -> list[Reading]:
        """By market, how many percent of its series are unusual now; all of them when it is silent.

        `vendor_now` is the vendor's time, which bars go by.
        """
        markets: dict[str, list[Seen]] = defaultdict(list)
        for (market, _), seen in self._seen.items():
            markets[market].append(seen)
        return [self._reading(market, markets[market], now, vendor_now) for market in sorted(markets)[:MOST_MARKETS]]

    def unsaved(self) -> list[Place]:
        """Of which series something was learned since `take` was asked for it."""
        return list(self._unsaved)

    def take(self, place: Place) -> list[Learned]:
        """What each detector knows of a series, to be kept; what is longer than LONGEST_STATE as text is not."""
        self._unsaved.pop(place, None)
        newest = self._seen.get(place, Seen(0)).ts
        texts = {name: self._asked(name, lambda asked: json.dumps(asked.state(*place))) for name in self._names}
        kept = {name: text for name, text in texts.items() if text and len(text) <= LONGEST_STATE}
        return [Learned(*place, name, newest, text) for name, text in kept.items()]

    def restore(self, place: Place, learned: Sequence[Learned]) -> None:
        """Take what `take` gave, unless something is known of the series; what cannot be read is learned anew."""
        states = {each.detector: each.state for each in learned}
        if place in self._seen or not states.keys() >= self._detectors.keys():
            return
        try:
            for name, detector in self._detectors.items():
                detector.restore(*place, json.loads(states[name]))
        except Exception:  # the boundary to code of others
            self._forget(place)
            return
        if learned[0].newest:
            self._seen[place] = Seen(learned[0].newest)

    def _forget(self, place: Place) -> None:
        for name in self._names:
            self._asked(name, lambda asked: asked.restore(*place, {}))

    def _new(self, bars: Bars) -> list[Observation]:
        """What of the newest bars was not seen yet."""
        return [seen for seen in observations(bars) if seen.ts > self._newest(seen)][-LEARNED_BARS:]

    def _newest(self, seen: Observation) -> int:
        known = self._seen.get((seen.market, seen.series))
        return -1 if known is None else known.ts

    def _remember(self, place: Place, ts: int) -> None:
        before = self._seen.pop(place, Seen(ts))
        self._seen[place] = before._replace(ts=ts)
        self._unsaved[place] = None
        if len(self._seen) > MOST_SERIES:
            forgotten, _ = self._seen.popitem(last=False)
            self._unsaved.pop(forgotten, None)

    def _observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
        found: list[Anomaly] = []
        for name in self._names:
            found += self._asked(name, lambda asked: [_plain(anomaly) for anomaly in asked.observe(batch)]) or ()
        return found

    @property
    def _names(self) -> list[str]:
        return list(self._detectors)

    def _asked(self, name: str, question: Callable[[Detector], T]) -> T | None:
        """What a detector answers; None from one that is defective."""
        try:
            return question(self._detectors[name])
        except Exception as defect:  # the boundary to code of others
            del self._detectors[name]
            self._complain(name, defect)
            return None

    def _count(self, anomaly: Anomaly, seconds: int, now: float) -> None:
        until = max(RECENT_SECONDS, RECENT_BARS * seconds)
        if anomaly.window.end + until <= now:
            return
        place = (anomaly.market, anomaly.series)
        if anomaly.kind == SILENCE:
            self._silent[anomaly.market] = Seen(0, now + until, anomaly.detail)
        elif place in self._seen:
            self._seen[place] = self._seen[place]._replace(until=now + until, detail=anomaly.detail)

    def _reading(self, market: str, series: Sequence[Seen], now: float, vendor_now: float) -> Reading:
        unusual = [seen for seen in series if seen.until > vendor_now]
        silent = self._silent.get(market)
        if silent is not None and silent.until > vendor_now:
            return Reading(NAME, market, 100.0, now, about=silent.detail)
        about = f"{len(unusual):,} of {len(series):,} series" + (f"; {unusual[-1].detail}" if unusual else "")
        return Reading(NAME, market, 100.0 * len(unusual) / len(series), now, about=about)


def place_of(key: SeriesKey) -> Place:
    """What the market and the series of a key are called in observations."""
    return f"{key.data_type}/{key.market}", f"{key.instrument}/{key.interval}"


def observations(bars: Bars) -> Iterator[Observation]:
    """How much happened in each bar; bars that say nothing of it are left out."""
    key = bars.key
    market, series = place_of(key)
    values = bars.values(COLUMNS.get(key.data_type, "volume"))
    for ts, value in zip(bars.ts, values, strict=True):
        if value is not None:
            yield Observation(market, series, VOLUME, ts, bars.grain.seconds, float(value))


def _plain(anomaly: Anomaly) -> Anomaly:
    """The anomaly of a plug-in, or ValueError: nothing else may reach a store or a terminal."""
    start, end = anomaly.window
    if anomaly.kind not in KINDS or anomaly.figure not in FIGURES or not int(start) < int(end):
        raise ValueError(f"not an anomaly: {anomaly!r}")
    return anomaly


def _key(anomaly: Anomaly) -> SeriesKey:
    data_type, _, market = anomaly.market.partition("/")
    instrument, _, interval = anomaly.series.rpartition("/")
    return SeriesKey(data_type, market, instrument, interval)


def _finding(anomaly: Anomaly) -> Finding:
    return Finding(f"anomaly_{anomaly.kind}", anomaly.window, "info", clean(anomaly.detail))
