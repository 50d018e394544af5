"""Acknowledging and silencing: what is asked, and what the answers order."""

from collections.abc import Collection
from functools import partial

from core.alerting.silences import ANY, Silence, make_silence
from core.errors import ConfigError
from core.events import AlertChanged
from core.text import counted
from core.windows import parse_span
from tui.screens.forms import Field, Form, Values
from tui.views.silences import covered

SPANS = ("15m", "1h", "4h", "24h")
ACK_SPANS = ("1h", "4h", "12h", "24h")
ACKED = "It stays in the list, and is not told again meanwhile."


def ack_form(alert: AlertChanged) -> Form:
    """Acknowledge `alert`: for how long, and what others should know."""
    fields = (
        Field("for", "4h", "1h 4h 12h 24h, or type 90m", ACK_SPANS),
        Field("comment", hint="for others; may be left out"),
    )
    return Form(f"Acknowledge {alert.alert}", fields, _ack_trouble, lambda _values: ACKED, "comment")


def ack_order(values: Values) -> dict[str, object]:
    """What the engine is told besides the alert and who tells it."""
    return {"seconds": float(parse_span(values["for"])), "comment": values["comment"]}


def _ack_trouble(values: Values) -> str:
    return _span_trouble(values["for"])


def _span_trouble(span: str) -> str:
    try:
        parse_span(span)
    except ConfigError as error:
        return f"for: {error}"
    return ""


def silence_form(alert: AlertChanged | None, alerts: Collection[AlertChanged], author: str, time: float) -> Form:
    """Silence what is like `alert`; `alerts` are all, to say how many it would cover. `time` is UTC epoch seconds."""
    fields = (
        Field("rule", alert.rule if alert else ANY, "* is any text"),
        Field("source", alert.source if alert and alert.source else ANY, "* is any text, as in spot_ohlcv/kraken*"),
        Field("level", ANY, "* or one of INFO WARNING ERROR CRITICAL", (ANY, "INFO", "WARNING", "ERROR", "CRITICAL")),
        Field("for", "1h", "15m 1h 4h 24h, or type 90m", SPANS),
        Field("comment", hint="why, for those who wonder"),
    )
    trouble = partial(_silence_trouble, author=author, time=time)
    remark = partial(_silence_remark, alerts=alerts, time=time)
    return Form("Silence what matches all of this", fields, trouble, remark, "comment" if alert else "rule")


def silence_order(values: Values) -> dict[str, object]:
    """What the engine is told besides who tells it."""
    patterns = {name: values[name].strip() for name in ("rule", "source", "level")}
    return {"seconds": float(parse_span(values["for"])), "comment": values["comment"], **patterns}


def _silence_trouble(values: Values, author: str, time: float) -> str:
    try:
        _made(values, author, time)
    except ConfigError as error:
        return str(error).removeprefix("--")
    is_everything = all(values[name].strip() == ANY for name in ("rule", "source", "level"))
    return "silence what? give a rule, a source or a level; a rule of ?* is everything" if is_everything else ""


def _silence_remark(values: Values, alerts: Collection[AlertChanged], time: float) -> str:
    try:
        silence = _made({**values, "comment": "-", "for": "1h"}, "-", time)
    except ConfigError as error:
        return str(error).removeprefix("--")
    matching = covered(silence, alerts)
    names = ", ".join(alert.alert for alert in matching[:3]) + (", ..." if len(matching) > 3 else "")
    return f"matches {counted(len(matching), 'open alert')}{': ' + names if names else ''}"


def _made(values: Values, author: str, time: float) -> Silence:
    order = silence_order(values)
    patterns = {name: str(order[name]) for name in ("rule", "source", "level")}
    return make_silence("new", time, time + parse_span(values["for"]), author, values["comment"], **patterns)
