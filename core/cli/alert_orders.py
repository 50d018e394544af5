"""`alerts ack`, `unack`, `silence`, `unsilence`, `silences`: who sees to what, and who wants to hear nothing of it."""

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.alert_names import alert_name, level_names, open_alerts, rule_names, rule_pattern
from core.cli.context import settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import show
from core.text import clean

if TYPE_CHECKING:
    from core.config import Loaded

Alert = Annotated[str, typer.Argument(help="An open alert, rule:source, or its incident.", autocompletion=open_alerts)]
COLUMNS = ("silence", "rule", "source", "level", "until", "author", "comment")


def ack(
    alert: Alert,
    span: Annotated[str, typer.Option("--for", help="How long you see to it, 30 days at most.")] = "4h",
    comment: Annotated[str, typer.Option("--comment", help="What others should know.")] = "",
) -> None:
    """See to an alert: it stays in the list, and is not told again until then."""
    from core.stores.lock import login_name  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    args = {"alert": alert_name(alert), "by": login_name(), "seconds": _seconds(span), "comment": comment}
    done = _give("ack", args)
    words(f"{clean(done['alert'])} is acknowledged until {iso(done['until'])}")


def unack(alert: Alert) -> None:
    """See to an alert no more: it is told again when that is due."""
    from core.stores.lock import login_name  # noqa: PLC0415

    done = _give("unack", {"alert": alert_name(alert), "by": login_name()})
    words(f"{clean(done['alert'])} is not acknowledged any more")


def silence(
    span: Annotated[str, typer.Option("--for", help="How long, 30 days at most.")],
    comment: Annotated[str, typer.Option("--comment", help="Why, for those who wonder.")],
    rule: Annotated[str, typer.Option("--rule", help="Pattern of rules.", autocompletion=rule_names)] = "*",
    source: Annotated[str, typer.Option("--source", help="Pattern of sources, as in spot_ohlcv/kraken*.")] = "*",
    level: Annotated[str, typer.Option("--level", help="Only of this level.", autocompletion=level_names)] = "*",
) -> None:
    """Tell nobody of what matches all the patterns, for a while. It is recorded and listed all the same.

    In patterns * is any text and ? one character.
    """
    from core.errors import ConfigError  # noqa: PLC0415
    from core.stores.lock import login_name  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    if (rule, source, level) == ("*", "*", "*"):
        raise ConfigError("silence what? choose --rule, --source or --level; --rule '?*' silences everything")
    patterns = {"rule": rule_pattern(rule), "source": source, "level": level}
    done = _give("silence", {"seconds": _seconds(span), "author": login_name(), "comment": comment, **patterns})
    name = done["silence"]
    words(f"silence {name} until {iso(done['until'])}; end it with: tapewatch alerts unsilence {name}")


def unsilence(
    silence: Annotated[str, typer.Argument(help="Its id, as `alerts silences` has it.")],
) -> None:
    """End a silence now."""
    done = _give("unsilence", {"silence": silence})
    words(f"silence {clean(done['silence'])} is over")


def silences(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """The silences that are in force, what ends first first."""
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    with reading(settings(announce=False).database) as reader:
        found = reader.silences(None if everything else time.time())
    rows = [
        {
            **{name: clean(getattr(each, name), 400) for name in COLUMNS if name != "until"},
            "created": iso(each.created),
            "until": iso(each.until),
        }
        for each in found
    ]
    show(rows, output, COLUMNS, "nothing is silenced")


def _seconds(text: str) -> float:
    from core.errors import ConfigError  # noqa: PLC0415
    from core.windows import parse_span  # noqa: PLC0415

    try:
        return float(parse_span(text))
    except ConfigError as error:
        raise ConfigError(f"--for: {error}") from None


def _give(command: str, args: dict[str, Any]) -> dict[str, Any]:
    return asyncio.run(_carried_out(settings(announce=False), command, args))


async def _carried_out(loaded: "Loaded", command: str, args: dict[str, Any]) -> dict[str, Any]:
    """By the engine that holds the store; where none does, or any number may write, right there."""
    from core.cli.engines import ask, find  # noqa: PLC0415
    from core.errors import EngineUnreachable, StoreBusy  # noqa: PLC0415
    from core.stores.opening import is_postgres, require_store  # noqa: PLC0415

    require_store(loaded.database)
    unreached: EngineUnreachable | None = None
    if not is_postgres(loaded.database) and await find(loaded) is not None:
        try:
            answer: Any = await ask(loaded, command, **args)
        except EngineUnreachable as error:
            unreached = error  # it may have ended meanwhile
        else:
            return dict(answer)
    try:
        return await _written(loaded, command, args)
    except StoreBusy as busy:
        raise unreached or busy from None


async def _written(loaded: "Loaded", command: str, args: dict[str, Any]) -> dict[str, Any]:
    from core.app import held_store  # noqa: PLC0415
    from core.engine.orders import carry_out, told  # noqa: PLC0415

    async with held_store(loaded) as store:
        return told(await carry_out(store, command, args, time.time()))
