"""`why`: in one screen, why a series is as far as it is and what happens next."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings
from core.cli.options import LookOutput, Output
from core.text import counted

if TYPE_CHECKING:
    from core.config import Loaded
    from core.datasets import SeriesKey
    from core.monitoring.why import Answer, Facts
    from core.stores.lock import Holder

EPILOG = """Examples:

  tapewatch why spot_ohlcv/kraken/BTC-USD/1m

  tapewatch why futures_funding_rate/binance/BTC-USDT-VANILLA-PERPETUAL/1h --output json
"""
ENGINE = ("kind", "pid", "user", "name", "host")


def why(
    series: Annotated[str, typer.Argument(help="data_type/market/instrument/interval; old names too.")],
    at: Annotated[str | None, typer.Option("--at", help="As of this UTC time instead of now.")] = None,
    output: LookOutput = Output.text,
) -> None:
    """The last closed bar and the expected one, what stands in the way since when, and what happens next.

    Reads only: it may be asked while an engine runs, which then tells of its quota and retries.
    """
    import time  # noqa: PLC0415

    from core.datasets import SeriesKey  # noqa: PLC0415
    from core.monitoring.why import explain  # noqa: PLC0415
    from core.windows import parse_time  # noqa: PLC0415

    key = SeriesKey.parse(series)
    now = int(time.time()) if at is None else parse_time(at)
    facts = gather(settings(announce=False), key, now)
    answer = explain(facts)
    if output is Output.text:
        _print(series, facts, answer)
    else:
        data(json.dumps(_object(series, facts, answer)))


def gather(loaded: "Loaded", asked: "SeriesKey", now: int) -> "Facts":
    """What the store, its lock and the engine behind it know of a series. Raises StoreError."""
    from core.cli.engines import holder  # noqa: PLC0415
    from core.errors import StoreError  # noqa: PLC0415
    from core.monitoring.why import Asked, Facts  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.stores.selection import Selection  # noqa: PLC0415

    found: dict[str, Any] = {"kept_seconds": loaded.settings.kept_seconds.get((asked.data_type, asked.interval))}
    with reading(loaded.database) as reader:
        found["listed"] = reader.listed(asked)
        try:
            found["state"] = reader.state(asked)
        except StoreError:
            key = asked
        else:
            key = found["state"].key
            chosen = Selection.one(key)
            found["listed"] = reader.listed(key)
            found["gaps"] = tuple((each.gap, each.explanation) for each in reader.gaps(chosen))
            found["failed"] = tuple(reader.failed(chosen))
            found["holder"], found["leased"] = reader.leased(key)
            last = reader.last_asked(key)
            found["asked"] = None if last is None else Asked(*last)
    # Of engines side by side the one that works on the series knows more than any other.
    found["holder"] = found.get("holder") or holder(loaded)
    engine = _from_engine(found["holder"], str(key)) if found["holder"] is not None else {}
    return Facts(key=key, now=now, **found, **engine)


def _from_engine(engine: "Holder", name: str) -> dict[str, Any]:
    """What an engine of this machine says of the quota and of the job that the series is in."""
    from core.cli.engines import snapshot  # noqa: PLC0415
    from core.events import JobChanged, QuotaSample, SeriesChanged  # noqa: PLC0415

    if not (events := snapshot(engine)):
        return {}
    jobs = {event.job: event for event in events if isinstance(event, JobChanged)}
    mine = [event for event in events if isinstance(event, SeriesChanged) and event.series == name]
    active = [event for event in mine if event.job in jobs and not jobs[event.job].is_final]
    progress = next(reversed(active or mine), None)
    return {
        "quota": next((event for event in events if isinstance(event, QuotaSample)), None),
        "progress": progress,
        "job": None if progress is None else jobs.get(progress.job),
    }


def _time(ts: int | None) -> str | None:
    from core.windows import iso  # noqa: PLC0415

    return None if ts is None else iso(ts)


def _object(asked: str, facts: "Facts", answer: "Answer") -> dict[str, Any]:
    from core.datasets import SETTLE_SECONDS  # noqa: PLC0415

    confirmed = sum(gap.is_confirmed for gap, _ in facts.gaps)
    holder, quota = facts.holder, facts.quota
    blockers = [
        {"what": each.what, "words": each.words, "since": _time(each.since), "until": _time(each.until)}
        for each in answer.blockers
    ]
    return {
        "series": str(facts.key),
        "asked": asked,
        "time": _time(facts.now),
        "status": answer.status,
        "last_bar": _time(answer.last_bar),
        "expected_bar": _time(answer.expected),
        "bars_behind": answer.behind,
        "since": _time(answer.since),
        "settle_seconds": SETTLE_SECONDS[facts.grain],
        "blockers": blockers,
        "next": answer.next,
        "next_at": _time(answer.next_at),
        "command": answer.command,
        "gaps": {"new": len(facts.gaps) - confirmed, "confirmed": confirmed, "failed_fetch": len(facts.failed)},
        "instrument": None if facts.listed is None else facts.listed.status,
        "retention_days": None if facts.kept_seconds is None else facts.kept_seconds / 86_400,
        "engine": None if holder is None else {name: getattr(holder, name) for name in ENGINE},
        "leased_by": facts.leased or None,
        "quota": None if quota is None else {window.name: window.remaining for window in quota.windows},
    }


def _engine_words(engine: dict[str, Any]) -> str:
    host = f", {engine['host']}" if engine["host"] else ""
    return f"{engine['kind']}, pid {engine['pid']}, user {engine['user']}{host}"


def _print(asked: str, facts: "Facts", answer: "Answer") -> None:
    found = _object(asked, facts, answer)
    called = "" if found["series"] == asked else f"  (asked as {asked})"
    since = f", since {found['since']}" if found["since"] else ""
    behind = f"; {counted(answer.behind, 'bar')} behind{since}" if answer.behind else ""
    if not behind and found["last_bar"]:
        behind = "; nothing newer is closed"
    gaps, quota = found["gaps"], found["quota"]
    holds = f"{gaps['new']} new, {gaps['confirmed']} confirmed, {counted(gaps['failed_fetch'], 'window')} given up"
    left = ", ".join(f"{name} {count:,}" for name, count in (quota or {}).items())
    engine = found["engine"]
    for name, value in (
        ("series", found["series"] + called),
        ("status", answer.status.replace("_", " ")),
        ("last bar", found["last_bar"] or "none is stored"),
        ("expected", f"{found['expected_bar']} (closed {found['settle_seconds']} s after its end){behind}"),
        ("gaps", holds),
        ("instrument", found["instrument"] or "the stored metadata does not say"),
        ("engine", _engine_words(engine) if engine else "none is running"),
        ("quota left", left or "unknown: no engine that knows it holds the store"),
    ):
        data(f"{name:11} {value}")
    data(f"{'in the way':11} {'' if found['blockers'] else 'nothing'}".rstrip())
    for blocker in found["blockers"]:
        times = "".join(f", {word} {blocker[word]}" for word in ("since", "until") if blocker[word])
        data(f"  {blocker['what']}{times}: {blocker['words']}")
    data(f"{'next':11} {answer.next}" + (f", at {found['next_at']}" if found["next_at"] else ""))
    if answer.command:
        data(f"{'to run':11} {answer.command}")
