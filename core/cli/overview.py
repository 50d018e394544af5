"""How everything stands, as one object: what `status --output json` prints."""

import time
from typing import TYPE_CHECKING, Any

from core.text import shown_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.config import Loaded
    from core.events import AlertChanged
    from core.schedule import Pause
    from core.stores import RunRecord
    from core.stores.lock import Holder
    from core.stores.reading import Reader

MILD = "INFO"
_NOTHING: dict[str, Any] = {name: [] for name in ("runs", "data_types", "schedules", "lists", "alerts")}
TICKS = 500
SOURCE_FAILS = {"vendor_unavailable", "key_refused", "retries_exhausted", "run_failed"}


def overview(loaded: "Loaded") -> dict[str, Any]:
    """The object of `status --output json`, without the quota. `health`: ok, degraded (`reasons` say why) or down.

    `components` say the same of each part: name, health and why, for people.
    """
    from core.errors import StoreError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    engines = _engines(loaded)
    found: dict[str, Any] = {
        "time": iso(time.time()),
        "config": str(loaded.path or ""),
        "store": shown_url(loaded.database),
        "source": loaded.settings.base_url,
        "engine": _engine(engines[0]) if engines else None,
        "engines": [_engine(engine) for engine in engines],
    }
    try:
        with reading(loaded.database) as reader:
            return {**found, **_contents(loaded, reader, engines)}
    except StoreError as error:
        health = {"health": "down", "store_health": "down", "source_health": "unknown", "reasons": [str(error)]}
        return {**found, **health, "components": _without_store(engines, error), **_NOTHING}


def recent_runs(loaded: "Loaded") -> list[dict[str, Any]]:
    """The `runs` of that object alone."""
    from core.errors import StoreError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415

    engines = _engines(loaded)
    try:
        with reading(loaded.database) as reader:
            return _runs(reader, engines)
    except StoreError:
        return []


def components(loaded: "Loaded") -> list[dict[str, Any]]:
    """The `components` of that object alone."""
    from core.errors import StoreError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415

    engines = _engines(loaded)
    try:
        with reading(loaded.database) as reader:
            return _parts(engines, _runs(reader, engines), reader.alerts(), time.time())
    except StoreError as error:
        return _without_store(engines, error)


def _parts(
    engines: "list[Holder]", runs: list[dict[str, Any]], alerts: "list[AlertChanged]", now: float
) -> list[dict[str, Any]]:
    grave = [alert for alert in alerts if _is_grave(alert, now)]
    return [
        _part("engine", "ok", _engine_words(engines)),
        _part("store", "ok", _store_words(alerts)),
        _part("source", source_health(runs, alerts), _source_words(alerts)),
        _part("alerts", *_alert_words(alerts, grave)),
    ]


def _without_store(engines: "list[Holder]", error: Exception) -> list[dict[str, Any]]:
    return [_part("engine", "ok", _engine_words(engines)), _part("store", "down", str(error))]


def _runs(reader: "Reader", engines: "list[Holder]") -> list[dict[str, Any]]:
    return [_run(record, engines) for record in reader.runs()]


def _contents(loaded: "Loaded", reader: "Reader", engines: "list[Holder]") -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    now = time.time()
    alerts, runs = reader.alerts(), _runs(reader, engines)
    grave = [alert for alert in alerts if _is_grave(alert, now)]
    return {
        "origin": reader.origin(),
        "health": "degraded" if grave else "ok",
        "store_health": "ok",
        "source_health": source_health(runs, alerts),
        "reasons": [f"{alert.level} {alert.source}: {alert.message}" for alert in grave],
        "components": _parts(engines, runs, alerts, now),
        "runs": runs,
        "data_types": [_aged(entry, now) for entry in reader.data_types()],
        "schedules": _schedules(loaded, reader, now),
        "lists": [
            {**entry, "refreshed": iso(entry["refreshed"]) if entry["refreshed"] is not None else None}
            for entry in reader.lists()
        ],
        "alerts": [_alert(alert) for alert in alerts],
    }


def _schedules(loaded: "Loaded", reader: "Reader", now: float) -> list[dict[str, Any]]:
    """Those of the file that the settings name, with their next run, and those that have run; how the last run went."""
    from core.windows import iso  # noqa: PLC0415

    pauses = {name: pause for name, pause in reader.pauses().items() if pause.covers(now)}
    next_run = _next_runs(loaded, pauses, now)
    last = {tick.schedule: tick for tick in reversed(reader.ticks(TICKS))}
    rows = []
    for name in sorted({*next_run, *last}):
        tick, due = last.get(name), next_run.get(name)
        state = {"last_tick": iso(tick.tick), "state": tick.state, "note": tick.note} if tick else {}
        next_tick, paused = None if due is None else iso(due), pauses[name].words if name in pauses else ""
        unknown = {"last_tick": None, "state": None, "note": ""}
        rows.append({"schedule": name, "next_run": next_tick, "paused": paused, **unknown, **state})
    return rows


def _next_runs(loaded: "Loaded", pauses: "Mapping[str, Pause]", now: float) -> dict[str, int | None]:
    from core.cli.daemon import schedules_path  # noqa: PLC0415
    from core.errors import ConfigError  # noqa: PLC0415
    from core.schedule import next_begin  # noqa: PLC0415
    from core.schedule_files import read_schedules  # noqa: PLC0415

    path = schedules_path(loaded)
    try:
        found = [schedule for schedule in read_schedules(path) if schedule.enabled] if path else []
    except ConfigError:
        return {}  # `serve` and `plan --schedules` say what is wrong with it
    return {schedule.name: next_begin(schedule, pauses.get(schedule.name), now) for schedule in found}


def _part(name: str, health: str, why: str) -> dict[str, Any]:
    return {"name": name, "health": health, "why": why}


def _is_grave(alert: "AlertChanged", now: float) -> bool:
    """Whether all is not well for it: news is no trouble, nor is what somebody has silenced."""
    is_silenced = alert.silenced_until is not None and alert.silenced_until > now
    return alert.level != MILD and not is_silenced


def _engine_words(engines: "list[Holder]") -> str:
    if not engines:
        return "no engine is running"
    return "; ".join(f"{each.kind} engine, pid {each.pid}, user {each.user}, {each.host}" for each in engines)


def _store_words(alerts: "list[AlertChanged]") -> str:
    return _first_of(alerts, {"store_unavailable", "database_error_rate"})


def _source_words(alerts: "list[AlertChanged]") -> str:
    return _first_of(alerts, {"vendor_unavailable", "key_refused", "api_error_rate", "run_failed"})


def _first_of(alerts: "list[AlertChanged]", rules: set[str]) -> str:
    return next((alert.message for alert in alerts if alert.rule in rules), "")


def _alert_words(alerts: "list[AlertChanged]", grave: "list[AlertChanged]") -> tuple[str, str]:
    from core.events import LEVELS  # noqa: PLC0415

    counts = {level: sum(alert.level == level for alert in alerts) for level in reversed(LEVELS)}
    words = ", ".join(f"{count} {level}" for level, count in counts.items() if count)
    return ("degraded" if grave else "ok"), f"{words}; see: tapewatch alerts" if words else "none"


def _aged(entry: dict[str, Any], now: float) -> dict[str, Any]:
    """With the newest bar in ISO, and how long ago it ended, in seconds."""
    from core.windows import GRAINS, iso  # noqa: PLC0415

    last, grain = entry["last_bar"], GRAINS[entry["interval"]]
    if last is None:
        return {**entry, "age_seconds": None}
    return {**entry, "last_bar": iso(last), "age_seconds": max(0, int(now - last - grain.seconds))}


def source_health(runs: list[dict[str, Any]], alerts: "list[AlertChanged]") -> str:
    """As engines and the newest run that ended found it: `status` itself asks the vendor nothing."""
    from core.events import FINAL_STATES  # noqa: PLC0415

    if any(alert.rule in SOURCE_FAILS for alert in alerts):
        return "failing"
    return "ok" if any(run["state"] in FINAL_STATES for run in runs) else "unknown"


def _alert(alert: "AlertChanged") -> dict[str, Any]:
    names = (
        *("rule", "level", "since", "source", "message", "count", "alert", "state", "doing", "command"),
        *("acked_by", "acked_until", "silenced_until", "inhibited_by"),
    )
    return {name: getattr(alert, name) for name in names}


def _engines(loaded: "Loaded") -> "list[Holder]":
    """Those at work on the store, on any host; none when the database does not answer, which is told elsewhere."""
    from core.errors import StoreError  # noqa: PLC0415
    from core.stores.opening import engines_of  # noqa: PLC0415

    try:
        return engines_of(loaded.database)
    except StoreError:
        return []


def _engine(engine: "Holder") -> dict[str, Any]:
    return {
        "name": engine.name,
        "host": engine.host,
        "pid": engine.pid,
        "kind": engine.kind,
        "user": engine.user,
        "since": engine.since,
        "socket": engine.socket,
    }


def _run(record: "RunRecord", engines: "list[Holder]") -> dict[str, Any]:
    return {
        "job": record.job,
        "run_id": record.run_id,
        "engine": record.engine,
        "data_type": record.data_type,
        "interval": record.interval,
        "label": record.label,
        "state": record.state_among(engines),
        "created": record.created,
        "finished": record.finished,
        "summary": record.summary,
    }
