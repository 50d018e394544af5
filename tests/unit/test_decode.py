"""Answers from bytes to typed rows: right pages, single bad rows, and bodies that are anything else."""

import json
import random

import msgspec
import pytest

from core.datasets import DATASETS, SPOT_OHLCV
from core.errors import Malformed
from core.records import FUTURES_OHLCV, INDEX_OHLCV, in_groups, row_type
from core.records import SPOT_OHLCV as SPOT_COLUMNS
from core.sources.decode import ErrorInfo, decode_error, decode_page, first_row, malformed
from tests.fakes import mutated

GROUPS = SPOT_OHLCV.default_groups
ROW = {"TIMESTAMP": 60, "UNIT": "MINUTE", "MARKET": "kraken", "INSTRUMENT": "XXBTZUSD", "MAPPED_INSTRUMENT": "BTC-USD"}


def page(*rows: str, err: str = "{}") -> bytes:
    return f'{{"Data":[{",".join(rows)}],"Err":{err}}}'.encode()


def row(**fields: object) -> str:
    return json.dumps({**ROW, **fields})


def raw_row(field: str, token: str) -> str:
    """A row one field of which is any token, whether JSON or not."""
    return row(TIMESTAMP=120)[:-1] + f', "{field}": {token}}}'


def decode(body: bytes, groups: tuple[str, ...] = GROUPS):
    """As a caller sees it that cannot say what was asked: nothing is taken for bounded."""
    return decode_page(SPOT_OHLCV, groups, body)[:3]


def test_columns_are_the_contracts_fields_in_order_and_once() -> None:
    for columns, count in ((SPOT_COLUMNS, 24), (FUTURES_OHLCV, 25), (INDEX_OHLCV, 21)):
        assert len(columns) == len({column.name for column in columns}) == count
    assert [column.field for column in in_groups(SPOT_COLUMNS, ["OHLC"])] == ["OPEN", "HIGH", "LOW", "CLOSE"]
    assert in_groups(SPOT_COLUMNS, []) == ()


@pytest.mark.parametrize("name", DATASETS)
def test_every_column_belongs_to_a_group_of_its_data_type(name: str) -> None:
    dataset = DATASETS[name]
    assert {column.group for column in (*dataset.columns, *dataset.constants)} <= set(dataset.groups)
    assert set(dataset.default_groups) <= set(dataset.groups)


def test_a_right_page_is_typed() -> None:
    rows, rejected, err = decode(page(row(OPEN=103_750, HIGH=1.5, TOTAL_TRADES=2**53 + 1), row(TIMESTAMP=120)))
    assert (rejected, err) == ([], ErrorInfo())
    assert [found.timestamp for found in rows] == [60, 120]
    assert (rows[0].open, rows[0].high, rows[0].low) == (103_750.0, 1.5, None)
    assert isinstance(rows[0].open, float)
    assert rows[0].total_trades == 9_007_199_254_740_993
    assert rows[0].mapped_instrument == "BTC-USD"


FULL = {column.field: 1 for column in in_groups(SPOT_COLUMNS, GROUPS)}


def test_a_page_within_all_bounds_is_known_to_be() -> None:
    found = decode_page(
        SPOT_OHLCV, GROUPS, page(row(**FULL), row(**FULL, TIMESTAMP=120)), "MINUTE", "kraken", "BTC-USD"
    )
    assert found.is_bounded
    assert found.is_meant
    assert [each.timestamp for each in found.rows] == [60, 120]
    assert (found.rows[0].low, found.rows[0].total_trades, found.rows[0].mapped_instrument) == (1.0, 1, "BTC-USD")


def test_who_does_not_ask_for_names_is_left_to_tell_by_the_exchanges_own() -> None:
    groups = ("ID", "OHLC")
    full = {column.field: 1 for column in in_groups(SPOT_COLUMNS, groups)}
    found = decode_page(SPOT_OHLCV, groups, page(row(**full)), "MINUTE", "kraken", "BTC-USD")
    assert (found.is_bounded, found.is_meant) == (True, False)
    assert found.rows[0].instrument == "XXBTZUSD"


@pytest.mark.parametrize(
    "fields",
    [
        {"VOLUME": -1},
        {"LOW": 0},
        {"TOTAL_TRADES": 2**63},
        {"TOTAL_TRADES": -1},
        {"OPEN": None},
        {"UNIT": "HOUR"},
        {"MARKET": "coinbase"},
        {"MARKET": None},
        {"MAPPED_INSTRUMENT": "ETH-USD"},
        {"MAPPED_INSTRUMENT": None},
    ],
)
def test_a_page_with_one_value_out_of_bounds_is_not_yet_known_to_be_and_loses_no_row(fields: dict[str, object]) -> None:
    body = page(row(**FULL), row(**{**FULL, "TIMESTAMP": 120, **fields}))
    found = decode_page(SPOT_OHLCV, GROUPS, body, "MINUTE", "kraken", "BTC-USD")
    assert not found.is_bounded
    assert not found.is_meant
    assert len(found.rows) == 2
    assert found.rejected == []


def test_only_the_groups_asked_for_are_read() -> None:
    [only] = decode(page(row(OPEN=1, VOLUME="anything")), ("OHLC",))[0]
    assert only.open == 1
    assert not hasattr(only, "volume")


def test_unknown_fields_are_ignored() -> None:
    [only], rejected, _ = decode(page(row(OPEN=1, NEW_FIELD={"deep": [1, {"x": None}]})))
    assert only.open == 1
    assert rejected == []


def test_a_row_type_is_made_once() -> None:
    assert row_type(SPOT_COLUMNS) is row_type(SPOT_COLUMNS)


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ("OPEN", '"1.5"'),
        ("OPEN", '""'),
        ("OPEN", "true"),
        ("OPEN", "1e999"),
        ("OPEN", "-1e999"),
        ("OPEN", "9" * 400),
        ("OPEN", "9" * 5_000),
        ("OPEN", "[1]"),
        ("OPEN", '{"a": 1}'),
        ("TOTAL_TRADES", "1.0"),
        ("TOTAL_TRADES", "1.5"),
        ("TOTAL_TRADES", "1e30"),
        ("TOTAL_TRADES", "true"),
        ("TOTAL_TRADES", '"7"'),
        ("TOTAL_TRADES", "9" * 5_000),
        ("UNIT", "1"),
        ("MARKET", "[]"),
    ],
)
def test_a_value_of_another_type_costs_its_row_only(field: str, token: str) -> None:
    rows, rejected, _ = decode(page(row(), raw_row(field, token), row(TIMESTAMP=180)))
    assert [found.timestamp for found in rows] == [60, 180]
    [bad] = rejected
    assert (bad.reason, bad.ts) == ("type", 120)
    assert bad.detail
    assert len(bad.raw) <= 4_096
    assert bad.raw.startswith('{"TIMESTAMP": 120')


@pytest.mark.parametrize("token", ['"60"', "60.0", "6e1", "true", "null", "[]", "9" * 5_000])
def test_a_row_without_a_time_has_none(token: str) -> None:
    rows, [bad], _ = decode(page(row(), f'{{"UNIT": "MINUTE", "TIMESTAMP": {token}}}'))
    assert [found.timestamp for found in rows] == [60]
    assert (bad.reason, bad.ts) == ("type", None)


def test_a_row_that_is_no_object_is_rejected() -> None:
    rows, rejected, _ = decode(page(row(), "1", "null", "[]", '"x"'))
    assert len(rows) == 1
    assert [bad.raw for bad in rejected] == ["1", "null", "[]", '"x"']


def test_text_that_is_no_utf8_costs_its_row_only() -> None:
    body = page(row(), row(TIMESTAMP=120, UNIT="@")).replace(b'"@"', b'"\xff"')
    rows, [bad], _ = decode(body)
    assert [found.timestamp for found in rows] == [60]
    assert (bad.reason, bad.ts) == ("type", 120)
    assert "�" in bad.raw


def test_absent_and_null_are_the_same() -> None:
    rows, _, _ = decode(page(row(OPEN=None), row()))
    assert rows[0].open is rows[1].open is None


GARBAGE = {
    "nothing": (b"", "empty"),
    "blank": (b" \n ", "empty"),
    "html": (b"<html><h1>502 Bad Gateway</h1></html>", "html"),
    "html after a BOM": (b"\xef\xbb\xbf<!DOCTYPE html>", "html"),
    "BOM": (b'\xef\xbb\xbf{"Data":[],"Err":{}}', "unparsable"),
    "UTF-16": ('{"Data":[],"Err":{}}'.encode("utf-16"), "unparsable"),
    "text": (b"Service Unavailable", "unparsable"),
    "list": (b"[]", "unparsable"),
    "null": (b"null", "unparsable"),
    "no Err": (b'{"Data":[]}', "unparsable"),
    "no Data": (b'{"Err":{}}', "unparsable"),
    "Err null": (b'{"Data":[],"Err":null}', "unparsable"),
    "Data null": (b'{"Data":null,"Err":{}}', "unparsable"),
    "Data object": (b'{"Data":{},"Err":{}}', "unparsable"),
    "trailing": (b'{"Data":[],"Err":{}} {}', "unparsable"),
    "NaN": (b'{"Data":[{"TIMESTAMP":60,"UNIT":"MINUTE","OPEN":NaN}],"Err":{}}', "unparsable"),
    "Infinity": (b'{"Data":[{"TIMESTAMP":60,"UNIT":"MINUTE","OPEN":Infinity}],"Err":{}}', "unparsable"),
    "hexadecimal": (b'{"Data":[{"TIMESTAMP":0x3c,"UNIT":"MINUTE"}],"Err":{}}', "unparsable"),
    "underscore": (b'{"Data":[{"TIMESTAMP":6_0,"UNIT":"MINUTE"}],"Err":{}}', "unparsable"),
    "single quotes": (b"{'Data':[],'Err':{}}", "unparsable"),
    "lone surrogate": (b'{"Data":[{"TIMESTAMP":60,"UNIT":"\\ud800"}],"Err":{}}', "unparsable"),
    "deep list": (b"[" * 100_000, "unparsable"),
    "deep data": (b'{"Data":' + b"[" * 100_000, "unparsable"),
    "deep row": (b'{"Data":[{"X":' + b"[" * 100_000 + b"]" * 100_000 + b'}],"Err":{}}', "unparsable"),
    "deep error": (b'{"Data":[],"Err":{"a":' + b'{"a":' * 100_000, "unparsable"),
}


@pytest.mark.parametrize(("body", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_answer_at_all_is_malformed(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode(body)
    assert caught.value.reason == reason
    assert len(caught.value.raw) <= 4_096
    assert str(caught.value).isprintable()


def test_a_page_cut_anywhere_is_malformed() -> None:
    whole = page(row(OPEN=1.5, TOTAL_TRADES=3), row(TIMESTAMP=120, OPEN=2.5))
    decode(whole)
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            decode(whole[:length])


def test_mutated_pages_are_rows_rejects_or_malformed_and_nothing_else(seed: int) -> None:
    """Bytes changed, doubled, cut out and moved: never another exception, never a wrong type."""
    chance = random.Random(seed)
    whole = page(*(row(TIMESTAMP=at * 60, OPEN=at + 0.5, TOTAL_TRADES=at, VOLUME=1e-18) for at in range(1, 5)))
    kinds = {column.name: column.kind for column in in_groups(SPOT_COLUMNS, GROUPS)}
    for _ in range(3_000):
        body = mutated(whole, chance)
        try:
            rows, rejected, _ = decode(body)
        except Malformed:
            continue
        for found in rows:
            assert type(found.timestamp) is int
            for name, kind_ in kinds.items():
                value = getattr(found, name)
                assert value is None or type(value) is kind_
        for bad in rejected:
            bad.raw.encode()
            bad.detail.encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ErrorInfo()),
        (b"{}", ErrorInfo()),
        (b"<html>", ErrorInfo()),
        (b'{"Err":{}}', ErrorInfo()),
        (b'{"Err":null}', ErrorInfo()),
        (b'{"Err":"no"}', ErrorInfo()),
        (b'{"Err":{"message":"\xff"}}', ErrorInfo()),
        (b'{"Err":' + b'{"a":' * 100_000, ErrorInfo()),
        (
            b'{"Data":[],"Err":{"type":1,"message":"Not found","other_info":{"first":5}}}',
            ErrorInfo(True, "Not found", 5),
        ),
        (b'{"Err":{"type":"x","message":"odd type"}}', ErrorInfo(True, "odd type")),
        (b'{"Err":{"code":5}}', ErrorInfo(True)),
        (b'{"Err":{"message":7,"other_info":[]}}', ErrorInfo(True)),
        (b'{"Err":{"other_info":{"first":"5"}}}', ErrorInfo(True)),
        (b'{"Err":{"other_info":{"first":5.0}}}', ErrorInfo(True)),
        (b'{"Err":{"other_info":{"first":true}}}', ErrorInfo(True)),
        (b'{"Err":{"other_info":{"first":0}}}', ErrorInfo(True, "", 0)),
    ],
)
def test_the_error_object(body: bytes, expected: ErrorInfo) -> None:
    assert decode_error(body) == expected


def test_an_error_comes_along_with_a_page() -> None:
    assert decode(page(err='{"message":"half of it"}'))[2] == ErrorInfo(True, "half of it")
    assert decode(page("1", err='{"code":1}'))[2] == ErrorInfo(True)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {}),
        (['{"A":1}', '{"A":2}'], {"A": 1}),
        (["[1]"], {}),
        (['{"A":1e999}'], {}),
    ],
)
def test_the_first_row_as_it_is(rows: list[str], expected: dict[str, object]) -> None:
    assert first_row(page(*rows)) == expected


def test_words_about_a_body_are_clean() -> None:
    error = malformed("bad \x1b]52;c;!\x07 thing", b"\x1b[2J")
    assert "\x1b" not in str(error)
    assert error.raw == b"\x1b[2J"


def test_the_decoder_is_msgspecs_own_grammar() -> None:
    """What a more lenient parser would let pass: this is why rows need no second check of their types."""
    for text in (b"NaN", b"Infinity", b"01", b".5", b"1.", b"+1", b"1_000"):
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(text, type=float)
