"""`changes`: what changed in the vendor's reference data."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.arguments import same_name
from core.cli.context import settings
from core.cli.options import LookOutput, Output
from core.cli.stored import known, several, show

if TYPE_CHECKING:
    from core.stores.catalog import ListedChange

COLUMNS = ("at", "data_type", "place", "entity", "change", "field", "old", "new")
LONGEST_SHOWN = 60


def changes(
    since: Annotated[str, typer.Option("--since", help="A UTC date or time, or how long ago: 7d, 12h.")] = "7d",
    data_type: Annotated[list[str] | None, typer.Option("--data_type", help="Only of these lists.")] = None,
    market: Annotated[list[str] | None, typer.Option("--market", help="Only of these markets or kinds.")] = None,
    output: LookOutput = Output.text,
) -> None:
    """Listings, delistings, new names, statuses, terms and every other change of metadata, oldest first.

    Times are the vendor's: when the answer came that first showed the change. An asset, exchange or
    instrument is called by the name it had then.
    """
    import time  # noqa: PLC0415

    from core.references import LISTS  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import iso, parse_since  # noqa: PLC0415

    types = known("data_type", tuple(same_name(name) for name in several(data_type)), LISTS)
    places = tuple(name.lower() for name in several(market))
    with reading(settings(announce=False).database) as reader:
        after = parse_since(since, reader.vendor_time(time.time()))
        found = [change for change in reader.changes(after, types) if not places or change.place in places]
    rows = [_row(change, is_short=output is Output.text) for change in found]
    show(rows, output, COLUMNS, f"nothing has changed since {iso(after)}")


def _row(change: "ListedChange", *, is_short: bool) -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    row = {**change._asdict(), "at": iso(change.at)}
    for name in ("old", "new"):
        row[name] = _shown(row[name]) if is_short else _value(row[name])
    return row


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _shown(text: str | None) -> str | None:
    from core.text import clean  # noqa: PLC0415

    value = _value(text)
    return None if text is None else clean(value if isinstance(value, str) else text, LONGEST_SHOWN)
