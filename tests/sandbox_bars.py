"""Bars of the sandbox's markets as columns, as a store would give them."""

from core.datasets import DATASETS, PAGE_CAP, SeriesKey
from core.findings import Bars
from core.sandbox.api import Api
from core.sandbox.wire import Request
from core.sources.decode import decode_page
from core.windows import GRAINS, Window, pages

NOW = 1_750_010_400


def sandbox_bars(api: Api, key: SeriesKey, end: int, days: int) -> Bars:
    """The bars of the `days` before `end`, all columns."""
    dataset, grain = DATASETS[key.data_type], GRAINS[key.interval]
    rows = []
    for page in pages(Window(end - days * 86_400, end), PAGE_CAP[grain] * grain.seconds, newest_first=False):
        span = {"limit": str(grain.bars(page)), "to_ts": str(page.end - grain.seconds)}
        query = {"market": key.market, "instrument": key.instrument, **span}
        answer = api.answer(Request(f"{dataset.path}/{grain.path}", query), NOW)
        rows += decode_page(dataset, dataset.groups, answer.body)[0]
    columns = {column.name: [getattr(row, column.name) for row in rows] for column in dataset.columns}
    return Bars(key, [row.timestamp for row in rows], columns)
