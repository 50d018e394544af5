"""Faults on demand: rules that spoil answers, read from a file.

The file is a JSON list of rules, or a TOML file with `[[rules]]`. Times are UTC epoch seconds or ISO
texts, spans include their start and not their end. A rule says which calls it meets:

    path          glob of the path, "/spot/v1/historical/*"; default "*"
    query         globs of parameters, {"market": "krak*", "instrument": "BTC-USD"}
    since, until  the vendor's time of the call is in [since, until); either may be left out
    calls         [1, 2]: only the first and second call that match; or
    every         3: each third one; or
    from, to      2, 9: the second to the ninth; either may be left out

and what happens to their answers, one or several of:

    status      an HTTP status; without `body` the vendor's error object comes with it
    body        any text instead of the answer, "<html>bad gateway</html>"
    headers     merged into the answer's headers, also over those of the rate limits
    empty       true: 200 with no rows
    revise      {"from": ts, "to": ts, "factor": 1.01}: volumes and trades of bars in [from, to)
                are multiplied, as when trades were found later; other bars stay
    damage      {"span": [ts, ts], "field": "VOLUME", "factor": 1.5}, or a list of such: the bars of the
                span are wrong, though each is valid by itself. VOLUME: volumes of all sides in base and
                quote are multiplied; TOTAL_TRADES: trades of all sides, by one at least; HIGH and LOW:
                raised or lowered by the factor, with the trade they came from. Bars without trades stay
    short       3: the last three rows are missing
    drop        [0, 5, -1]: rows missing by index
    drop_ts     [1735689600]: rows missing by TIMESTAMP
    drop_span   {"from": ts, "to": ts}, or a list of such: rows missing whose TIMESTAMP is in [from, to)
    mutate      {"rows": [0], "set": {"OPEN": "1.5", "LOW": {"raw": "NaN"}}}: any JSON value, or a raw
                token that may be no JSON at all; without `rows` every row
    truncate    0.5: the text ends there, with an honest Content-Length
    cut         0.5: the connection is dropped there, after the full Content-Length was promised
    delay       seconds before the answer
    slow        seconds over which the body drips
    reset       true: the connection is reset without an answer

All rules that meet a call apply, in the order of the file. Calls are counted by rule, from 1, among those
that match its path, query and times. Rows of CSV are left as they are.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from core.errors import ConfigError
from core.sandbox.fault_rows import (
    DAMAGES,
    Damage,
    Edit,
    Mutation,
    Revision,
    Rows,
    Span,
    damaged,
    mutated,
    revised,
    without,
)
from core.sandbox.wire import Answer, Refusal, Request, refused
from core.windows import parse_time


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule; the module's docstring describes its fields."""

    path: str = "*"
    query: dict[str, str] = {}
    since: int | None = None
    until: int | None = None
    calls: list[int] | None = None
    every: int | None = None
    first: int = msgspec.field(name="from", default=1)
    last: int | None = msgspec.field(name="to", default=None)
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = {}
    empty: bool = False
    revise: Revision | None = None
    damage: list[Damage] = []
    short: int | None = None
    drop: list[int] = []
    drop_ts: frozenset[int] = frozenset()
    drop_span: list[Span] = []
    mutate: Mutation | None = None
    truncate: float | None = None
    cut: float | None = None
    delay: float = 0.0
    slow: float = 0.0
    reset: bool = False

    def matches(self, request: Request, now: int) -> bool:
        if (self.since is not None and now < self.since) or (self.until is not None and now >= self.until):
            return False
        return fnmatchcase(request.path, self.path) and all(
            fnmatchcase(request.query.get(name, ""), pattern) for name, pattern in self.query.items()
        )

    def meets(self, number: int) -> bool:
        """Whether the rule applies to the `number`-th call that matches it."""
        if self.calls is not None:
            return number in self.calls
        if self.every is not None:
            return number % self.every == 0
        return self.first <= number and (self.last is None or number <= self.last)

    @property
    def spoils_more_than_rows(self) -> bool:
        pieces = self.status, self.body, self.truncate, self.cut
        return any(piece is not None for piece in pieces) or bool(self.headers or self.delay or self.slow or self.reset)

    def edits(self) -> Iterator[Edit]:
        """What is done to the rows of a page, in order."""
        if self.revise is not None:
            yield revised(self.revise)
        yield from map(damaged, self.damage)
        if self.mutate is not None:
            yield mutated(self.mutate)
        if self.drop or self.drop_ts or self.drop_span:
            yield without(self.drop, self.drop_ts, self.drop_span)
        if self.short is not None:
            count = self.short
            yield lambda rows: rows[: max(0, len(rows) - count)]
        if self.empty:
            yield lambda _: []


_SELECTORS = {"path", "query", "since", "until", "calls", "every", "from", "to"}


def read_rules(path: Path) -> list[Rule]:
    """Raises ConfigError that names the file, the rule (from 0) and the key."""
    try:
        text = path.read_text(encoding="utf-8")
        loaded = tomllib.loads(text).get("rules") if path.suffix == ".toml" else msgspec.json.decode(text)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise ConfigError(f"--faults: {path}: {error}") from error
    if not isinstance(loaded, list):
        raise ConfigError(f"--faults: {path}: a list of rules is needed")
    return [_rule(path, index, item) for index, item in enumerate(loaded)]


def rule_of(item: object) -> Rule:
    """A rule as a file has it. Raises ConfigError that names the key."""
    try:
        rule = msgspec.convert(_timed(item) if isinstance(item, dict) else item, Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    if isinstance(item, dict) and not set(item) - _SELECTORS:
        raise ConfigError("says nothing to do, such as status or delay")
    for name in ("truncate", "cut"):
        part = getattr(rule, name)
        if part is not None and not 0 <= part <= 1:
            raise ConfigError(f"{name} must be between 0 and 1")
    for damage in rule.damage:
        if damage.field not in DAMAGES:
            raise ConfigError(f"damage.field: {damage.field!r} is none of {', '.join(DAMAGES)}")
        if damage.factor <= 0 or damage.factor == 1:
            raise ConfigError(f"damage.factor: {damage.factor} must be above 0 and not 1")
    return rule


def _rule(path: Path, index: int, item: object) -> Rule:
    try:
        return rule_of(item)
    except ConfigError as error:
        raise ConfigError(f"--faults: {path}: rule {index}: {error}") from error


def _timed(item: Mapping[str, Any]) -> dict[str, Any]:
    """`item` with times as numbers, and with lists where one object may stand for a list."""
    found = {name: _seconds(name, value) if name in {"since", "until"} else value for name, value in item.items()}
    for name in ("damage", "drop_span"):
        if name in found:
            several: Any = found[name] if isinstance(found[name], list) else [found[name]]
            found[name] = [_span(name, one) for one in several]
    if "revise" in found:
        found["revise"] = _span("revise", found["revise"])
    return found


def _span(name: str, item: object) -> object:
    """`item` with its span as numbers `from` and `to`."""
    if not isinstance(item, dict):
        return item
    found = dict(item)
    if name == "damage":
        span = found.pop("span", None)
        if not isinstance(span, list) or len(span) != 2:
            raise ConfigError("damage.span: two times are needed, [from, to]")
        found |= {"from": span[0], "to": span[1]}
    return {key: _seconds(f"{name}.{key}", value) if key in {"from", "to"} else value for key, value in found.items()}


def _seconds(name: str, value: object) -> object:
    try:
        if isinstance(value, datetime):
            return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
        return parse_time(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


class Faults:
    """Applies rules and counts the calls they match."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._seen = [0] * len(rules)

    def apply(self, request: Request, answer: Answer, now: int = 0) -> Answer:
        """The answer as it leaves after all rules; `now` is the vendor's time (UTC seconds)."""
        page = _Page(answer)
        for index, rule in enumerate(self._rules):
            if rule.matches(request, now):
                self._seen[index] += 1
                if rule.meets(self._seen[index]):
                    _spoil(rule, request, page)
        return page.answer


class _Page:
    """An answer while rules change it. Its rows are read once and written once, however many do."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._rows: Rows | None = None

    @property
    def answer(self) -> Answer:
        if self._rows is not None:
            self.answer = replace(self._answer, body=_page_of(self._rows))
        return self._answer

    @answer.setter
    def answer(self, answer: Answer) -> None:
        self._answer, self._rows = answer, None

    def edit(self, edit: Edit) -> None:
        """Changes the rows of a page; other answers stay as they are."""
        if self._rows is None:
            self._rows = _rows_of(self._answer)
        if self._rows is not None:
            self._rows = edit(self._rows)


def _rows_of(answer: Answer) -> Rows | None:
    if answer.status != 200 or "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        envelope = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
        return msgspec.json.decode(envelope["Data"], type=Rows)
    except (msgspec.DecodeError, KeyError):
        # No list of rows, or what an earlier rule made of one.
        return None


def _page_of(rows: Rows) -> bytes:
    texts = ("{" + ",".join(f'"{name}":{bytes(raw).decode()}' for name, raw in row.items()) + "}" for row in rows)
    return ('{"Data":[' + ",".join(texts) + '],"Err":{}}').encode()


def _spoil(rule: Rule, request: Request, page: _Page) -> None:
    for edit in rule.edits():
        page.edit(edit)
    if rule.spoils_more_than_rows:
        page.answer = _sent(rule, _replaced(rule, request, page.answer))


def _sent(rule: Rule, answer: Answer) -> Answer:
    body = answer.body
    if rule.truncate is not None:
        body = body[: int(len(body) * rule.truncate)]
    delivery = replace(
        answer.delivery,
        delay=answer.delivery.delay + rule.delay,
        drip=answer.delivery.drip + rule.slow,
        cut=rule.cut if rule.cut is not None else answer.delivery.cut,
        reset=answer.delivery.reset or rule.reset,
    )
    return replace(answer, body=body, headers={**answer.headers, **rule.headers}, delivery=delivery)


def _replaced(rule: Rule, request: Request, answer: Answer) -> Answer:
    if rule.status is not None:
        refusal = Refusal(rule.status, f"Injected status {rule.status}.")
        answer = refused(refusal, request.path)
    if rule.body is None:
        return answer
    kind = "text/html" if rule.body.startswith("<") else answer.headers.get("Content-Type", "text/plain")
    return replace(answer, body=rule.body.encode(), headers={**answer.headers, "Content-Type": kind})
