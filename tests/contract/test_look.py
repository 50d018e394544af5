"""What a look at one stored series shows, and which spans of many are there; in every store alike."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from test_findings import COLUMNS, START, fill
from test_store import KEY, NOW, answer, eventful, reject, series

from core.cli.archive import StoreArchive, archive_of
from core.config import load
from core.coverage import Absence, Gap
from core.datasets import SeriesKey
from core.errors import NotStored
from core.findings import Finding
from core.sources import Listing
from core.stores.catalog import ListingCommit
from core.stores.database import Database
from core.stores.look_sql import Flagged, Spans
from core.stores.reading import Reader
from core.stores.selection import Selection
from core.stores.sql_store import SQLStore
from core.windows import Window
from tests.fakes import row_of
from tui.archive.series import Bar

EVER = Window(-(2**62), 2**62)
OTHER = KEY._replace(instrument="ETH-USD")


async def ask(store: SQLStore, question: Callable[[Reader], Any]) -> Any:
    def work(db: Database) -> Any:
        return question(Reader(db))

    return await store._db.run(work)


async def test_the_newest_bars_come_in_order_with_the_one_that_still_runs(store: SQLStore) -> None:
    await fill(store, KEY, 10, closed=9)
    await fill(store, OTHER, 20)
    found = await ask(store, lambda reader: reader.bars(KEY, ("close", "volume", "volume_buy"), EVER, 3))
    assert found == [(START + at * 60, int(at < 9), 1.5, at * 60.0, None) for at in (7, 8, 9)]
    span = Window(START + 60, START + 240)
    within = await ask(store, lambda reader: reader.bars(KEY, ("volume",), span, 100))
    assert within == [(START + at * 60, 1, at * 60.0) for at in (1, 2, 3)]
    assert COLUMNS
    with pytest.raises(NotStored):
        await ask(store, lambda reader: reader.bars(KEY._replace(market="nowhere"), ("close",), EVER, 3))


async def test_spans_tell_asked_from_missing_and_new_gaps_from_explained_ones(store: SQLStore) -> None:
    state = await series(store)
    assert await ask(store, Reader.spans) == [Spans(KEY, None, None, [], [], [])]
    hole, odd = Window(120, 240), Window(300, 360)
    rows = [(ts, *answer(state).rows[0][1:]) for ts in (0, 60, 240, 360)]
    absences = [Absence(hole, "absent"), Absence(odd, "absent")]
    await store.commit(answer(state, bars=7, rows=rows, absences=absences))
    await store.commit(answer(state, start=420, groups=("ID", "MAPPING", "OHLC", "VOLUME")))
    await store.commit(answer(state, start=6_000))
    later = NOW + 3_600
    await store.commit(answer(state, start=120, bars=2, rows=[], absences=absences[:1], known_at=later, sent_at=2_000))
    [spans] = await ask(store, lambda reader: reader.spans(Selection.one(KEY)))
    assert spans == Spans(KEY, 0, None, [Window(0, 600), Window(6_000, 6_180)], [odd], [hole])
    await fill(store, OTHER, 2)
    assert [each.key for each in await ask(store, Reader.spans)] == [KEY, OTHER]


async def test_gaps_after_the_end_of_an_instrument_are_explained(store: SQLStore) -> None:
    state = await series(store)
    await store.commit(answer(state, bars=2, rows=[], absences=[Absence(Window(0, 120), "delisted")]))
    [spans] = await ask(store, Reader.spans)
    assert (spans.gaps, spans.explained) == ([], [Window(0, 120)])


async def test_what_has_ended_is_what_no_entry_of_the_metadata_calls_active(store: SQLStore) -> None:
    keys = [KEY._replace(instrument=name) for name in ("ALIVE-USD", "DEAD-USD", "GONE-USD", "BACK-USD", "UNKNOWN-USD")]
    for key in keys:
        await fill(store, key, 1)
    assert await ask(store, Reader.inactive) == []
    states = {"ALIVE-USD": "ACTIVE", "DEAD-USD": "RETIRED", "GONE-USD": "ACTIVE", "BACK-USD": "RETIRED"}
    [listed] = await store.series("coindesk", [SeriesKey("spot_instruments", "kraken")])

    def rows(names: list[str], **fields: str) -> list[Any]:
        return [
            row_of(
                "spot_instruments",
                **{"instrument": name, "exchange_symbol": name, "instrument_status": states[name], **fields},
            )
            for name in names
        ]

    await store.write_listing(ListingCommit(listed, "coindesk", Listing(rows([*states]), NOW, 4), "r"))
    left = rows(["ALIVE-USD", "DEAD-USD"]) + rows(["BACK-USD"], instrument_status="ACTIVE")
    await store.write_listing(ListingCommit(listed, "coindesk", Listing(left, NOW + 60, 3), "r"))
    assert sorted(key.instrument for key in await ask(store, Reader.inactive)) == ["DEAD-USD", "GONE-USD"]


async def test_findings_are_read_with_their_sightings(store: SQLStore) -> None:
    state = await fill(store, KEY, 3)
    found = Finding("frozen", Window(START, START + 60), "warning", "words")
    for _ in range(2):
        await store.flag(state, [found])
    assert await ask(store, Reader.findings) == [Flagged(KEY, found, 2, NOW, NOW)]
    assert await ask(store, lambda reader: reader.findings(Selection(markets=("nowhere",)))) == []


async def test_of_many_troubles_the_newest_are_read(store: SQLStore) -> None:
    state = await series(store)
    await store.commit(answer(state, bars=20))
    await store.commit(eventful(state))
    for at in (50, 51, 52):
        one = Window(at * 60, at * 60 + 60)
        await store.commit(
            answer(
                state, start=at * 60, bars=1, rows=[], rejected=[reject(at * 60)], absences=[Absence(one, "rejected")]
            )
        )
    everything = await ask(store, lambda reader: reader.restated(Selection.one(KEY), 0))
    assert len(everything) == 20
    assert await ask(store, lambda reader: reader.restated(Selection.one(KEY), 0, 3)) == everything[-3:]
    rejected = await ask(store, Reader.quarantined)
    assert len(rejected) == 4
    assert await ask(store, lambda reader: reader.quarantined(newest=2)) == rejected[-2:]
    gaps = [each.gap for each in await ask(store, Reader.gaps)]
    newest = [each.gap for each in await ask(store, lambda reader: reader.gaps(newest=2))]
    assert newest == gaps[-2:]
    assert all(isinstance(gap, Gap) for gap in newest)


LASTING = ("sqlite-file", "postgres")


@pytest.mark.parametrize("store_url", LASTING, indirect=True)
async def test_a_dashboard_reads_the_same_of_every_database(store: SQLStore, store_url: str) -> None:
    state = await series(store)
    await store.commit(answer(state, bars=20))
    await store.commit(eventful(state))
    await store.flag(state, [Finding("frozen", Window(0, 60), "warning", "words")])
    archive = archive_of(load({}, {"TAPEWATCH_DB": store_url}))
    seen = await asyncio.to_thread(look_at, archive, str(KEY))
    assert seen["series"][str(KEY)].rows == 48
    assert seen["bars"] == [Bar(ts, True, 2.0, 1.0, 1.0, 1.0, None) for ts in (45 * 60, 46 * 60, 47 * 60)]
    assert seen["coverage"].asked == seen["coverages"][str(KEY)].asked == (Window(0, 50 * 60),)
    assert seen["coverage"].gaps == (Window(48 * 60, 50 * 60),)
    assert {(hole.kind, hole.cause, hole.bars) for hole in seen["holes"].values()} == {
        ("gap", "rejected_rows", 2),
        ("suspect", "frozen", 1),
    }
    assert {(change.old, change.new) for change in seen["restatements"].values()} == {(1.0, 2.0)}
    assert len(seen["restatements"]) == 20
    [record] = seen["refused"].values()
    assert (record.start, record.is_row, record.state) == (48 * 60, True, "open")


def look_at(archive: StoreArchive, name: str) -> dict[str, Any]:
    one = {what: getattr(archive, what)(name) for what in ("coverage", "holes", "restatements", "refused")}
    return {"series": archive.series(), "coverages": archive.coverages(), "bars": archive.bars(name, 3), **one}
