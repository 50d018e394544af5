"""Messages to people: what happened to the alerts of one group, in words and as data. Pure.

A message is made of its entries alone, so that whoever sends it again, after a crash too, sends the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from core.alerting import Entry
from core.events import LEVELS, AlertChanged
from core.text import clean, counted
from core.windows import iso

MOST_ITEMS, MOST_BYTES = 20, 20_000
FIRED, RESOLVED, ESCALATED, TEST = "fired", "resolved", "escalated", "test"
PAIR = "fired and resolved"
# What chat programs, mail and terminals would take for markup, a mention or a quotation looks alike and means nothing.
_LOOKS = str.maketrans({"<": "‹", ">": "›", '"': "”", "'": "’", "`": "’", "*": "∗", "[": "(", "]": ")", "|": "¦"})
_LOOKS |= str.maketrans({"@": "＠", "&": "＆", "\\": "＼", "~": "∼", "#": "＃"})


class Item(NamedTuple):
    """What happened to one incident, in a word or three, and the alert as it is after that."""

    word: str
    alert: AlertChanged


@dataclass(frozen=True, slots=True)
class Message:
    """`id` is the same however often the message is sent. `level` is the gravest of its alerts.

    `alerts` are all of them, as they are; subject, text and body are clean. `body` is data for programs, of at most
    20 items, 20 kB as JSON.
    """

    id: str
    level: str
    subject: str
    text: str
    body: Mapping[str, Any]
    alerts: tuple[AlertChanged, ...] = field(default=())

    @property
    def json(self) -> bytes:
        return msgspec.json.encode(self.body)


def plain(text: str, limit: int = 200) -> str:
    """`text` on one line, with nothing in it that a terminal or a chat program would act on."""
    return clean(text, limit).translate(_LOOKS)


def message_id(entries: Sequence[Entry]) -> str:
    """The same for the same entries."""
    parts = [f"{entry.channel} {entry.alert.incident} {entry.alert.sequence} {entry.kind}" for entry in entries]
    return f"msg_{hashlib.sha256(chr(10).join(parts).encode('utf-8', 'replace')).hexdigest()[:24]}"


def compose(name: str, entries: Sequence[Entry]) -> Message:
    """One message of at least one entry; of an incident the entries are in their order."""
    items = sorted(_items(entries), key=lambda item: -LEVELS.index(item.alert.level))
    at = max(entry.created for entry in entries)
    listed = min(len(items), MOST_ITEMS)
    while listed > 1 and len(_made(name, items, listed, at).json) > MOST_BYTES:
        listed -= 1
    return _made(name, items, listed, at)


def trial(channel: str, now: float) -> Message:
    """A message that says that it is none, as grave as one that matters."""
    alert = AlertChanged(
        alert=f"test:{channel}",
        rule="test",
        level="ERROR",
        state="firing",
        since=now,
        message="This is a test: nothing is wrong",
        source=channel,
        incident=f"test-{round(now * 1000)}",
        sequence=1,
        fired=now,
        doing="nothing",
        command="tapewatch alerts",
    )
    entry = Entry(channel, f"ERROR:{TEST}", TEST, alert, now, now)
    return compose(message_id([entry]), [entry])


def _items(entries: Sequence[Entry]) -> list[Item]:
    """One an incident."""
    incidents: dict[str, list[Entry]] = {}
    for entry in entries:
        incidents.setdefault(entry.alert.incident, []).append(entry)
    return [_item(found) for found in incidents.values()]


def _item(entries: Sequence[Entry]) -> Item:
    first, last = entries[0].kind, entries[-1].kind
    if first in {FIRED, ESCALATED}:
        return Item(PAIR if last == RESOLVED else first, entries[-1].alert)
    return Item(last, entries[-1].alert)


def _made(name: str, items: Sequence[Item], listed: int, at: float) -> Message:
    level = items[0].alert.level
    subject = _subject(items)
    more = len(items) - listed
    shown = items[:listed]
    paragraphs = [subject, *(_paragraph(item) for item in shown), *_advice(shown)]
    if more:
        paragraphs.append(f"and {counted(more, 'more alert')}: tapewatch alerts")
    text = "\n\n".join(paragraphs)
    data = {
        "message": name,
        "level": level,
        "subject": subject,
        "text": text,
        "count": len(items),
        "alerts": [_data(item) for item in shown],
    }
    body = {"type": "tapewatch.alerts", "timestamp": iso(at), "data": data}
    return Message(name, level, subject, text, body, tuple(item.alert for item in items))


def _subject(items: Sequence[Item]) -> str:
    """`ERROR fired: api_error_rate, book`, `ERROR fired: 12 of run_failed`; with several words the commonest."""
    words = [item.word for item in items]
    word = max(dict.fromkeys(words), key=words.count)
    rules = list(dict.fromkeys(item.alert.rule for item in items))
    about = plain(rules[0], 60) if len(rules) == 1 else f"{plain(rules[0], 60)} and others"
    what = f"{about}, {plain(items[0].alert.source, 60)}" if len(items) == 1 else f"{len(items):,} of {about}"
    head = f"{items[0].alert.level} {word}"
    return f"TEST {head}: {what}" if word == TEST else f"{head}: {what}"


def _paragraph(item: Item) -> str:
    """The cause, then facts a line each: short enough for a telephone."""
    alert = item.alert
    lines = [f"{alert.level} {item.word}: {plain(alert.message, 500) or plain(alert.alert)}", plain(alert.source)]
    lines.append(f"since {iso(alert.fired or alert.since)}")
    if item.word == ESCALATED:
        lines.append("nobody has acknowledged it")
    if alert.resolved is not None and item.word in {RESOLVED, PAIR}:
        lines.append(f"until {iso(alert.resolved)}")
    if alert.value is not None:
        lines.append(f"last value {alert.value:g}")
    return "\n".join(line for line in lines if line)


def _advice(items: Sequence[Item]) -> list[str]:
    """What the engine does and what to try next, each once, for what is not over."""
    alerts = [item.alert for item in items if item.alert.is_open]
    doing = dict.fromkeys(f"The engine: {plain(alert.doing)}" for alert in alerts if alert.doing)
    commands = dict.fromkeys(f"Next: {plain(alert.command)}" for alert in alerts if alert.command)
    return ["\n".join([*doing, *commands])] if doing or commands else []


def _data(item: Item) -> dict[str, Any]:
    alert = item.alert
    times = {"since": alert.since, "fired": alert.fired, "resolved": alert.resolved}
    return {
        "what": item.word,
        "alert": plain(alert.alert),
        "rule": plain(alert.rule),
        "source": plain(alert.source),
        "level": alert.level,
        "state": alert.state,
        "incident": plain(alert.incident),
        "sequence": alert.sequence,
        "cause": plain(alert.message, 500),
        "value": alert.value,
        **{name: None if at is None else iso(at) for name, at in times.items()},
        "doing": plain(alert.doing),
        "command": plain(alert.command),
    }
