"""The glossary: every column of every table of a new store is explained, in the words of the right rule."""

import re
from collections.abc import Iterator

import pytest

from core.datasets import DATASETS
from core.glossary import TIME_UNITS, about, term
from core.records import Column
from core.references import REFERENCES
from core.stores.export_sql import schema_of
from core.stores.migrate import migrate
from core.stores.sqlite_connection import connect
from core.windows import GRAINS


@pytest.fixture(scope="module")
def schema() -> Iterator[dict[str, dict[str, str]]]:
    db = connect(":memory:")
    migrate(db, 0)
    yield schema_of(db)
    db.close()


def test_every_column_of_every_table_has_unit_and_meaning(schema: dict[str, dict[str, str]]) -> None:
    for table, columns in schema.items():
        assert re.fullmatch(r"[A-Z].*\.", about(table)), table
        for column in columns:
            found = term(table, column)
            assert found.unit, (table, column)
            assert re.fullmatch(r"[A-Z0-9].*\.", found.meaning), (table, column)
            assert "{" not in found.meaning + found.unit, (table, column)


def test_units_go_with_types(schema: dict[str, dict[str, str]]) -> None:
    """Text is text, times and flags are whole numbers, and only what is one is called so."""
    for table, columns in schema.items():
        for column, kind in columns.items():
            unit = term(table, column).unit
            is_text = "text" in unit
            assert is_text == (kind == "TEXT"), (table, column, kind, unit)
            if unit in {"UTC epoch seconds", "0 or 1", "id", "count"}:
                assert kind == "INTEGER", (table, column, kind)
            if column.endswith("_timestamp") or column in {"ts", "known_at", "start", "end"}:
                assert unit in TIME_UNITS, (table, column, unit)


def vendor_columns() -> Iterator[tuple[str, Column]]:
    for dataset in DATASETS.values():
        for grain in GRAINS:
            yield from ((f"{dataset.name}_{grain}", column) for column in (*dataset.constants, *dataset.columns))
    for reference in REFERENCES.values():
        yield from ((reference.name, column) for column in reference.columns)


def test_groups_are_the_vendors() -> None:
    for table, column in vendor_columns():
        assert term(table, column.name).group == column.group.replace("ENTRY", ""), (table, column)
        assert (term(table, column.name).unit == "JSON text") == (column.kind is list), (table, column)
        assert (term(table, column.name).unit == "0 or 1") == (column.kind is bool), (table, column)
    for own in ("ts", "closed", "known_at", "market"):
        assert term("spot_ohlcv_1d", own).group == ""
    assert term("futures_open_interest_1h", "open_interest_quote").group == "OHLC"


@pytest.mark.parametrize(
    ("table", "column", "unit", "said"),
    [
        ("spot_ohlcv_1m", "volume_buy", "base asset", "trades whose taker bought"),
        ("futures_ohlcv_1h", "quote_volume_unknown", "quote asset", "of unknown side"),
        ("indices_ohlcv_1d", "volume_top_tier_direct", "base asset", "the pair itself, on exchanges of the top tier"),
        ("indices_ohlcv_1d", "low_message_timestamp", "UTC epoch seconds", "lowest index value"),
        ("futures_funding_rate_1h", "low", "fraction per interval_ms", "lowest"),
        ("futures_funding_payments", "ts", "UTC epoch seconds", "End of the funding interval"),
        (
            "futures_open_interest_1d",
            "high_quote_mark_price",
            "quote per underlying",
            "in money was highest in the bar",
        ),
        ("futures_open_interest_1d", "low_message_quote", "quote currency", "lowest open interest in the bar's own"),
        ("asset_metadata", "price_conversion_rate", "conversion asset per USD", "conversion"),
        ("asset_metadata", "spot_moving_7_day_quote_volume_top_tier_usd", "USD", "7 days"),
        ("asset_metadata", "asset_description_extended_seo", "text", "search engines"),
        ("exchange_metadata", "instrument_status", "JSON text", "by status"),
        ("spot_instruments", "instrument_status", "text", "ACTIVE"),
        ("metadata_change", "new", "JSON text", "new value"),
        ("series", "last_bar", "UTC epoch seconds", "last closed bar"),
    ],
)
def test_the_first_rule_that_fits_counts(table: str, column: str, unit: str, said: str) -> None:
    found = term(table, column)
    assert found.unit == unit
    assert said in found.meaning


@pytest.mark.parametrize(("table", "column"), [("spot_ohlcv_1d", "nonsense"), ("nonsense", "ts"), ("nonsense", "x")])
def test_what_is_not_explained_says_where_to_write_it(table: str, column: str) -> None:
    with pytest.raises(KeyError, match=r"glossary.txt"):
        term(table, column)
    with pytest.raises(KeyError, match=r"glossary.txt"):
        about("nonsense")
