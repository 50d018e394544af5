"""`quarantine`: rows and answers that could not be used, and a second look at them."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import DataTypes, Instruments, Intervals, Markets, as_json, print_table, selected, show

if TYPE_CHECKING:
    from core.config import Loaded
    from core.engine.quarantine import Verdict
    from core.stores.quarantine_sql import Quarantined

quarantine = typer.Typer(help="Rows that failed the checks: as they came, and a second look.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option("--reason", help="Only records of this reason.")]
LISTED = ("id", "series", "kind", "start", "reason", "sightings", "last_seen", "state")
SHOWN_RAW = 300


@quarantine.command("list")
def quarantine_list(
    reason: Reason = None,
    data_type: DataTypes = None,
    market: Markets = None,
    instrument: Instruments = None,
    interval: Intervals = None,
    output: LookOutput = Output.text,
) -> None:
    """Records with their reasons, and whether they are still open, filled by a later answer, or accepted."""
    from core.stores.opening import reading  # noqa: PLC0415

    chosen = selected(data_type, market, instrument, interval, lists=True)
    with reading(settings(announce=False).database) as reader:
        rows = [_record(each) for each in reader.quarantined(chosen, reason=reason)]
    show([{name: row[name] for name in LISTED} for row in rows], output, LISTED, "the quarantine is empty")


@quarantine.command("show")
def quarantine_show(number: Annotated[int, typer.Argument(metavar="ID")], output: LookOutput = Output.text) -> None:
    """One record with the text as it came."""
    from core.stores.opening import reading  # noqa: PLC0415

    with reading(settings(announce=False).database) as reader:
        [found] = _all_of([number], reader.quarantined(ids=[number]))
    if output is not Output.text:
        data(json.dumps(_record(found)))
        return
    for name, value in _record(found).items():
        data(f"{name:12} {'-' if value is None else value}")
    if not found.is_row and not found.is_of_list:
        words("a whole answer is not looked at again: `tapewatch gaps repair` asks for it once more")


@quarantine.command("retry")
def quarantine_retry(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[ID]...")] = None,
    reason: Reason = None,
    output: LookOutput = Output.text,
) -> None:
    """Run stored rows through the present checks; those that pass fill their slot if it is still empty.

    Nothing is asked of the vendor. Exits 1 when some are not accepted. Whole answers are asked for again by
    `tapewatch gaps repair` instead.
    """
    import asyncio  # noqa: PLC0415

    from core.errors import ConfigError  # noqa: PLC0415

    if not numbers and reason is None:
        raise ConfigError("name records by their ids, or --reason; see: tapewatch quarantine list")
    verdicts = asyncio.run(_retry(settings(), numbers or [], reason))
    rows = [{"id": each.id, "accepted": each.is_accepted, "why": each.why} for each in verdicts]
    if not as_json(rows, output) and rows:
        print_table(rows)
    accepted = sum(each.is_accepted for each in verdicts)
    words(f"{accepted} of {len(verdicts)} accepted")
    if accepted < len(verdicts):
        raise typer.Exit(1)


async def _retry(loaded: "Loaded", numbers: list[int], reason: str | None) -> "list[Verdict]":
    import time  # noqa: PLC0415

    from core.app import held_store  # noqa: PLC0415
    from core.engine.quarantine import look_again  # noqa: PLC0415
    from core.monitoring.quality import check_page  # noqa: PLC0415

    async with held_store(loaded) as store:
        records = _all_of(numbers, await store.quarantined(numbers, reason))
        undecided = [each for each in records if numbers or each.state == "open"]
        return await look_again(store, undecided, check_page, int(time.time()))


def _all_of(numbers: list[int], found: "list[Quarantined]") -> "list[Quarantined]":
    """`found`, if every number is among it. Raises ConfigError."""
    from core.errors import ConfigError  # noqa: PLC0415

    if missing := sorted(set(numbers) - {each.id for each in found}):
        raise ConfigError(f"the quarantine has no record {missing[0]}; see: tapewatch quarantine list")
    return found


def _record(each: "Quarantined") -> dict[str, Any]:
    from core.text import clean  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    return {
        "id": each.id,
        "series": str(each.key),
        "start": None if each.is_of_list else iso(each.span.start),
        "end": None if each.is_of_list else iso(each.slot.end if each.is_row else each.span.end),
        "kind": "list" if each.is_of_list else "row" if each.is_row else "answer",
        "reason": clean(each.reason),
        "detail": clean(each.detail, SHOWN_RAW),
        "state": each.state,
        "sightings": each.sightings,
        "first_seen": iso(each.first_seen),
        "last_seen": iso(each.last_seen),
        "accepted": None if each.accepted is None else iso(each.accepted),
        "run_id": each.run_id,
        "raw": clean(each.raw, 5_000),
    }
