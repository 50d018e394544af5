"""Counting what a store holds, by data type, interval and market."""

from core.census import Census, Part
from core.stores.database import Database

# Gaps are counted once and not for each series: there may be many of either.
_PARTS = """
SELECT data_type, interval, market, count(*), max(last_bar), CAST(sum(coalesce(gaps, 0)) AS BIGINT) FROM series
LEFT JOIN (SELECT series_id, count(*) AS gaps FROM gap GROUP BY series_id) AS counted ON counted.series_id = series.id
WHERE interval <> '' GROUP BY data_type, interval, market ORDER BY data_type, interval, market
"""
_OUTBOX = """
SELECT channel, state, count(*) FROM outbox WHERE state IN ('waiting', 'dead') GROUP BY channel, state ORDER BY 1, 2
"""


def read_census(db: Database) -> Census:
    parts = [Part(*row) for row in db.execute(_PARTS)]
    return Census(tuple(parts), tuple((channel, state, count) for channel, state, count in db.execute(_OUTBOX)))
