"""Stored series, and one of them in full."""

from collections.abc import Mapping, Sequence

from core.causes import FAILED_FETCH, outlook
from core.cli.archive.part import Part
from core.datasets import FUTURES_FUNDING_RATE, FUTURES_OPEN_INTEREST, SeriesKey
from core.stores.explain_sql import ExplainedGap, FailedWindow
from core.stores.export_sql import FOREVER
from core.stores.look_sql import Flagged, Spans
from core.stores.quarantine_sql import Quarantined
from core.stores.reading import SeriesRow
from core.stores.restatement_sql import Restated
from core.stores.selection import Selection
from core.windows import GRAINS, Window
from tui.archive.series import Bar, Coverage, Hole, Refused, Restatement, StoredSeries

SHOWN = 200
SHOWN_RAW = 20_000
_PRICES = ("open", "high", "low", "close")
_DRAWN = {
    FUTURES_FUNDING_RATE.name: (*_PRICES, "total_funding_rate_updates"),
    FUTURES_OPEN_INTEREST.name: (*(f"{price}_settlement" for price in _PRICES), "close_quote"),
}


class SeriesPart(Part):
    """Answers `tui.archive.series.SeriesArchive`."""

    def series(self) -> Mapping[str, StoredSeries]:
        with self.reading() as reader:
            ended = set(map(str, reader.inactive()))
            return {row.series: _stored(row, row.series in ended) for row in reader.series()}

    def coverages(self) -> Mapping[str, Coverage]:
        with self.reading() as reader:
            return {str(spans.key): _coverage(spans) for spans in reader.spans()}

    def coverage(self, series: str) -> Coverage:
        with self.reading() as reader:
            [spans] = reader.spans(Selection.one(reader.find(SeriesKey.parse(series))))
        return _coverage(spans)

    def bars(self, series: str, count: int, span: Window | None = None) -> Sequence[Bar]:
        key = SeriesKey.parse(series)
        columns = _DRAWN.get(key.data_type, (*_PRICES, "volume"))
        with self.reading() as reader:
            return [
                Bar(ts, bool(closed), *values)
                for ts, closed, *values in reader.bars(key, columns, span or FOREVER, count)
            ]

    def holes(self, series: str) -> Mapping[str, Hole]:
        with self.reading() as reader:
            one = Selection.one(reader.find(SeriesKey.parse(series)))
            found = [
                *map(_gap, reader.gaps(one, SHOWN)),
                *map(_given_up, reader.failed(one)),
                *map(_suspect, reader.findings(one)),
            ]
        return {f"{hole.kind} {hole.cause} {hole.start}": hole for hole in found}

    def restatements(self, series: str) -> Mapping[str, Restatement]:
        with self.reading() as reader:
            one = Selection.one(reader.find(SeriesKey.parse(series)))
            found = reader.restated(one, 0, SHOWN)
        return {f"{each.ts} {each.column} {each.seen_at} {at}": _restatement(each) for at, each in enumerate(found)}

    def refused(self, series: str) -> Mapping[str, Refused]:
        with self.reading() as reader:
            one = Selection.one(reader.find(SeriesKey.parse(series)))
            return {str(each.id): _refused(each) for each in reader.quarantined(one, newest=SHOWN)}


def _stored(row: SeriesRow, has_ended: bool) -> StoredSeries:
    key = SeriesKey.parse(row.series)
    return StoredSeries(
        data_type=key.data_type,
        market=key.market,
        instrument=key.instrument,
        interval=key.interval,
        seconds=GRAINS[key.interval].seconds,
        rows=row.rows,
        first_bar=row.first_bar,
        last_bar=row.last_bar,
        gaps=row.gaps,
        has_ended=has_ended,
    )


def _coverage(spans: Spans) -> Coverage:
    return Coverage(
        seconds=GRAINS[spans.key.interval].seconds,
        start=spans.start,
        pruned_before=spans.pruned_before,
        asked=tuple(spans.asked),
        gaps=tuple(spans.gaps),
        explained=tuple(spans.explained),
    )


def _gap(each: ExplainedGap) -> Hole:
    gap, told = each.gap, each.explanation
    return Hole(
        kind="gap",
        start=gap.window.start,
        end=gap.window.end,
        bars=GRAINS[each.key.interval].bars(gap.window),
        cause=told.cause,
        state="confirmed" if gap.is_confirmed else "new",
        words=told.words,
        next=outlook(gap, told.cause),
        sightings=gap.sightings,
        first_seen=gap.first_seen,
        last_seen=gap.last_seen,
    )


def _given_up(each: FailedWindow) -> Hole:
    return Hole(
        kind="given up",
        start=each.window.start,
        end=each.window.end,
        bars=GRAINS[each.key.interval].bars(each.window),
        cause=FAILED_FETCH,
        state="given up",
        words=f"after {each.attempts} attempts: {each.error}",
        next="the next run that covers it asks again; now: tapewatch gaps repair",
        sightings=each.sightings,
        first_seen=each.first_seen,
        last_seen=each.last_seen,
    )


def _suspect(each: Flagged) -> Hole:
    finding = each.finding
    return Hole(
        kind="suspect",
        start=finding.window.start,
        end=finding.window.end,
        bars=GRAINS[each.key.interval].bars(finding.window),
        cause=finding.check,
        state=finding.level,
        words=finding.detail,
        next="nothing by itself: the bars stay as they are; to ask the vendor again: tapewatch verify",
        sightings=each.sightings,
        first_seen=each.first_seen,
        last_seen=each.last_seen,
    )


def _restatement(each: Restated) -> Restatement:
    return Restatement(each.seen_at, each.ts, each.column, each.old, each.new, each.run_id)


def _refused(each: Quarantined) -> Refused:
    return Refused(
        id=each.id,
        start=each.span.start,
        end=each.span.end,
        is_row=each.is_row,
        reason=each.reason,
        detail=each.detail,
        raw=each.raw[:SHOWN_RAW],
        state=each.state,
        sightings=each.sightings,
        last_seen=each.last_seen,
        run_id=each.run_id,
    )
