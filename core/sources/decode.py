"""History pages from bytes to typed rows: fast when the page is right, row by row when it is not.

A page that fails typed decoding is read again with each row kept raw, so one bad row costs one row.
A page that is not JSON, or not an envelope, is Malformed as a whole.
"""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from core.bounds import says_whose, strict_row_type
from core.datasets import Dataset
from core.errors import Malformed
from core.records import Column, in_groups, row_type
from core.sources import RejectedRow
from core.text import clean

RAW_LIMIT = 4_096


class ErrorInfo(NamedTuple):
    """What an answer's `Err` says: only what clients may rely on, everything optional.

    `first` is the first available bar in UTC epoch seconds.
    """

    is_error: bool = False
    message: str = ""
    first: int | None = None


class _Failure(msgspec.Struct):
    Err: dict[str, Any]


class _RawPage(msgspec.Struct):
    Data: list[msgspec.Raw]
    Err: dict[str, Any]


@cache
def page_decoder(columns: tuple[Column, ...]) -> msgspec.json.Decoder[Any]:
    """Decodes a whole answer whose rows hold `columns`; built once for each choice of groups."""
    return _decoder_of(row_type(columns))


def _decoder_of(row: type[Any]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(msgspec.defstruct("Page", [("Data", list[row]), ("Err", dict[str, Any])]))  # type: ignore[valid-type]


@cache
def _row_decoder(columns: tuple[Column, ...]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(row_type(columns))


class Decoded(NamedTuple):
    """Rows, rows that do not fit their types, and the error object of one 200 answer.

    `is_bounded` says that every row is of the unit and market asked for, with its values within `core.bounds`,
    `is_meant` that it is of the instrument, too.
    """

    rows: list[Any]
    rejected: list[RejectedRow]
    error: ErrorInfo
    is_bounded: bool = False
    is_meant: bool = False


def decode_page(
    dataset: Dataset, groups: tuple[str, ...], body: bytes, unit: str = "", market: str = "", instrument: str = ""
) -> Decoded:
    """What an answer about `unit` (the vendor's word) of a series says, first read as if it were right.

    Raises Malformed when it is no JSON or no list of rows."""
    try:
        page = _strict_decoder(dataset, groups, unit, market, instrument).decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return _decode_loosely(in_groups(dataset.columns, groups), body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(str(error), body) from error
    return Decoded(page.Data, [], _error_info(page.Err), is_bounded=True, is_meant=says_whose(groups))


@lru_cache(maxsize=512)
def _strict_decoder(dataset: Dataset, groups: tuple[str, ...], *names: str) -> msgspec.json.Decoder[Any]:
    return _decoder_of(strict_row_type(dataset, groups, *names))


def _decode_loosely(columns: tuple[Column, ...], body: bytes) -> Decoded:
    try:
        page = page_decoder(columns).decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return _decode_rows(columns, body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(str(error), body) from error
    return Decoded(page.Data, [], _error_info(page.Err))


def _decode_rows(columns: tuple[Column, ...], body: bytes) -> Decoded:
    try:
        page = msgspec.json.decode(body, type=_RawPage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error), body) from error
    decoder = _row_decoder(columns)
    rows: list[Any] = []
    rejected: list[RejectedRow] = []
    for raw in page.Data:
        try:
            rows.append(decoder.decode(raw))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = bytes(raw)[:RAW_LIMIT].decode("utf-8", "replace")
            ts, after = _timestamp(raw), rows[-1].timestamp if rows else None
            rejected.append(RejectedRow("type", clean(str(error)), text, ts, after if ts is None else None))
    return Decoded(rows, rejected, _error_info(page.Err))


class _Stamp(msgspec.Struct, rename="upper"):
    timestamp: int


def _timestamp(raw: msgspec.Raw) -> int | None:
    try:
        return msgspec.json.decode(raw, type=_Stamp).timestamp
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def first_row(body: bytes) -> dict[str, Any]:
    """The first row of a page as a plain dict; empty when there is none that can be read."""
    page = msgspec.json.decode(body, type=_RawPage)
    try:
        row = msgspec.json.decode(page.Data[0]) if page.Data else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return row if isinstance(row, dict) else {}


def decode_error(body: bytes) -> ErrorInfo:
    """The error object of an answer; an empty one when there is none to be read."""
    try:
        return _error_info(msgspec.json.decode(body, type=_Failure).Err)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorInfo()


def _error_info(err: dict[str, Any]) -> ErrorInfo:
    message, info = err.get("message"), err.get("other_info")
    first = info.get("first") if isinstance(info, dict) else None
    return ErrorInfo(
        is_error=bool(err),
        message=message if isinstance(message, str) else "",
        first=first if isinstance(first, int) and not isinstance(first, bool) else None,
    )


def malformed(detail: str, body: bytes) -> Malformed:
    """Malformed with a word on what the body looks like instead."""
    start = body[:200].lstrip().lower()
    if not start:
        return Malformed("the answer is empty", "empty", b"")
    if start.startswith((b"<", b"\xef\xbb\xbf<")):
        return Malformed("the answer is HTML, not JSON (a proxy or a captive portal?)", "html", body[:RAW_LIMIT])
    return Malformed(f"the answer cannot be read: {clean(detail)}", "unparsable", body[:RAW_LIMIT])
