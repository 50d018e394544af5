"""History pages from bytes to typed rows: fast when the page is right, row by row when it is not.

A page that fails typed decoding is read again with each row kept raw, so one bad row costs one row.
A page that is not JSON, or not an envelope, is Malformed as a whole.
"""

from functools import cache
from typing import Any

import msgspec

from core.datasets import Dataset
from core.errors import Malformed
from core.records import Column, in_groups, row_type
from core.sources import RejectedRow
from core.text import clean

RAW_LIMIT = 4_096


class ErrorInfo(msgspec.Struct, rename="upper"):
    """The vendor's error object; only what clients may rely on, everything optional."""

    type: int | None = None
    message: str = ""
    other_info: dict[str, Any] = msgspec.field(default_factory=dict, name="other_info")

    @property
    def first(self) -> int | None:
        first = self.other_info.get("first")
        return first if isinstance(first, int) and not isinstance(first, bool) else None


class _Failure(msgspec.Struct):
    Err: ErrorInfo


class _RawPage(msgspec.Struct):
    Data: list[msgspec.Raw]
    Err: ErrorInfo


@cache
def page_decoder(columns: tuple[Column, ...]) -> msgspec.json.Decoder[Any]:
    """Decodes a whole answer whose rows hold `columns`; built once for each choice of groups."""
    envelope = msgspec.defstruct("Page", [("Data", list[row_type(columns)]), ("Err", ErrorInfo)])  # type: ignore[misc]
    return msgspec.json.Decoder(envelope)


@cache
def _row_decoder(columns: tuple[Column, ...]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(row_type(columns))


def decode_page(
    dataset: Dataset, groups: tuple[str, ...], body: bytes
) -> tuple[list[Any], list[RejectedRow], ErrorInfo]:
    """Rows, rows that do not fit their types, and the error object of one 200 answer.

    Raises Malformed when the body is no JSON or no list of rows.
    """
    columns = in_groups(dataset.columns, groups)
    try:
        page = page_decoder(columns).decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError):
        return _decode_rows(columns, body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise malformed(str(error), body) from error
    return page.Data, [], page.Err


def _decode_rows(columns: tuple[Column, ...], body: bytes) -> tuple[list[Any], list[RejectedRow], ErrorInfo]:
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
            rejected.append(RejectedRow("type", clean(str(error)), text, _timestamp(raw)))
    return rows, rejected, page.Err


class _Stamp(msgspec.Struct, rename="upper"):
    timestamp: int


def _timestamp(raw: msgspec.Raw) -> int | None:
    try:
        return msgspec.json.decode(raw, type=_Stamp).timestamp
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def first_row(body: bytes) -> dict[str, Any]:
    """The first row of a page as a plain dict; empty when there is none."""
    page = msgspec.json.decode(body, type=_RawPage)
    row = msgspec.json.decode(page.Data[0]) if page.Data else {}
    return row if isinstance(row, dict) else {}


def decode_error(body: bytes) -> ErrorInfo:
    """The error object of an answer; an empty one when there is none to be read."""
    try:
        return msgspec.json.decode(body, type=_Failure).Err
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ErrorInfo()


def malformed(detail: str, body: bytes) -> Malformed:
    """Malformed with a word on what the body looks like instead."""
    start = body[:200].lstrip().lower()
    if not start:
        return Malformed("the answer is empty", "empty", b"")
    if start.startswith((b"<", b"\xef\xbb\xbf<")):
        return Malformed("the answer is HTML, not JSON (a proxy or a captive portal?)", "html", body[:RAW_LIMIT])
    return Malformed(f"the answer cannot be read: {clean(detail)}", "unparsable", body[:RAW_LIMIT])
