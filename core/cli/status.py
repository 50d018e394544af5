"""`status`: one look that says whether the data is fine, and why not."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings
from core.cli.options import LookOutput, Output
from core.cli.stored import print_table
from core.text import shown_url

if TYPE_CHECKING:
    from core.config import Loaded
    from core.events import AlertChanged
    from core.stores import RunRecord
    from core.stores.lock import Holder
    from core.stores.reading import Reader

FINAL = {"complete", "complete_with_gaps", "waiting_quota", "failed", "cancelled"}
CHECK_CODES = {"ok": 0, "degraded": 1, "down": 3}


def status(
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when degraded, 3 when down.")] = False,
    enable_monitoring: Annotated[bool, typer.Option("--enable_monitoring", help="Accepted for scripts.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """Current and recent runs, the newest bar of every data type, alerts, and whether all is well."""
    loaded = settings()
    found = overview(loaded)
    if output is Output.text:
        _print_status(found)
    else:
        data(json.dumps(found))
    if check and (code := CHECK_CODES[found["health"]]):
        raise typer.Exit(code)


def overview(loaded: "Loaded") -> dict[str, Any]:
    """The object of `status --output json`. `health`: ok, degraded (`reasons` say why) or down."""
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
            return {**found, **_contents(reader, engines)}
    except StoreError as error:
        health = {"health": "down", "store_health": "down", "source_health": "unknown", "reasons": [str(error)]}
        return {**found, **health, "runs": [], "data_types": [], "lists": [], "alerts": []}


def _contents(reader: "Reader", engines: "list[Holder]") -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    alerts, runs = reader.alerts(), [_run(record, engines) for record in reader.runs()]
    data_types = reader.data_types()
    for entry in data_types:
        entry["last_bar"] = iso(entry["last_bar"]) if entry["last_bar"] is not None else None
    return {
        "origin": reader.origin(),
        "health": "degraded" if alerts else "ok",
        "store_health": "ok",
        "source_health": _source_health(runs, alerts),
        "reasons": [f"{alert.level} {alert.source}: {alert.message}" for alert in alerts],
        "runs": runs,
        "data_types": data_types,
        "lists": [
            {**entry, "refreshed": iso(entry["refreshed"]) if entry["refreshed"] is not None else None}
            for entry in reader.lists()
        ],
        "alerts": [_alert(alert) for alert in alerts],
    }


def _source_health(runs: list[dict[str, Any]], alerts: "list[AlertChanged]") -> str:
    """As the newest run that ended found it: `status` itself asks the vendor nothing."""
    if any(alert.rule in {"retries_exhausted", "run_failed"} for alert in alerts):
        return "failing"
    return "ok" if any(run["state"] in FINAL for run in runs) else "unknown"


def _alert(alert: "AlertChanged") -> dict[str, Any]:
    names = ("rule", "level", "since", "source", "message", "count")
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


def _print_status(found: dict[str, Any]) -> None:
    data(f"health   {found['health']}")
    for reason in found["reasons"]:
        data(f"         {reason}")
    data(f"config   {found['config'] or 'defaults'}")
    data(f"store    {found['store']}  origin {found.get('origin') or 'none yet'}")
    data(f"source   {found['source']}  {found['source_health']}")
    for engine in found["engines"]:
        data(f"engine   {engine['kind']} engine, pid {engine['pid']}, user {engine['user']}, {engine['host']}")
    if not found["engines"]:
        data("engine   no engine is running")
    data("")
    data(f"{'data type':24} {'series':>8} {'rows':>14} {'gaps':>6}  last closed bar")
    for entry in found["data_types"]:
        name = f"{entry['data_type']} {entry['interval']}"
        data(f"{name:24} {entry['series']:>8,} {entry['rows']:>14,} {entry['gaps']:>6}  {entry['last_bar'] or '-'}")
    data("")
    if found["lists"]:
        data(f"{'list':40} {'entities':>8}  refreshed")
        for entry in found["lists"]:
            data(f"{entry['list']:40} {entry['entities']:>8,}  {entry['refreshed'] or '-'}")
        data("")
    print_runs(found["runs"])


def print_runs(runs: list[dict[str, Any]]) -> None:
    if runs:
        print_table([_run_row(run) for run in runs])


def _run_row(run: dict[str, Any]) -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    summary = run["summary"]
    return {
        "job": run["job"],
        "run": run["run_id"],
        "data_type": f"{run['data_type']} {run['interval']}".rstrip(),
        "state": run["state"],
        "windows": f"{summary.get('windows', 0)}/{summary.get('windows_total', 0)}",
        "rows": summary.get("rows_fetched", 0),
        "created": iso(run["created"]),
    }
