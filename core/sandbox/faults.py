"""Faults on demand: rules that spoil answers, read from a file.

The file is a JSON list of rules, or a TOML file with `[[rules]]`. A rule says which calls it meets:

    path        glob of the path, "/spot/v1/historical/*"; default "*"
    query       parameters that must be equal, {"instrument": "BTC-USD"}
    calls       [1, 2]: only the first and second call that match; or
    every       3: each third one; or
    from, to    2, 9: the second to the ninth; either may be left out

and what happens to their answers, one or several of:

    status      an HTTP status; without `body` the vendor's error object comes with it
    body        any text instead of the answer, "<html>bad gateway</html>"
    headers     merged into the answer's headers, also over those of the rate limits
    empty       true: 200 with no rows
    revise      {"from": ts, "to": ts, "factor": 1.01}: volumes and trades of bars in [from, to)
                are multiplied, as when trades were found later; other bars stay
    short       3: the last three rows are missing
    drop        [0, 5, -1]: rows missing by index
    drop_ts     [1735689600]: rows missing by TIMESTAMP
    mutate      {"rows": [0], "set": {"OPEN": "1.5", "LOW": {"raw": "NaN"}}}: any JSON value, or a raw
                token that may be no JSON at all; without `rows` every row
    truncate    0.5: the text ends there, with an honest Content-Length
    cut         0.5: the connection is dropped there, after the full Content-Length was promised
    delay       seconds before the answer
    slow        seconds over which the body drips
    reset       true: the connection is reset without an answer

All rules that meet a call apply, in the order of the file. Calls are counted by rule, from 1.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from core.errors import ConfigError
from core.sandbox.wire import Answer, Refusal, Request, refused

Row = dict[str, msgspec.Raw]
Rows = list[Row]


class Revision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bars that start in [start, end) get `factor` times their volume."""

    start: int = msgspec.field(name="from")
    end: int = msgspec.field(name="to")
    factor: float = 1.01


class Mutation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values to set in the rows of an index, or in all of them."""

    values: dict[str, Any] = msgspec.field(name="set")
    rows: list[int] | None = None


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule; the module's docstring describes its fields."""

    path: str = "*"
    query: dict[str, str] = {}
    calls: list[int] | None = None
    every: int | None = None
    first: int = msgspec.field(name="from", default=1)
    last: int | None = msgspec.field(name="to", default=None)
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = {}
    empty: bool = False
    revise: Revision | None = None
    short: int | None = None
    drop: list[int] = []
    drop_ts: list[int] = []
    mutate: Mutation | None = None
    truncate: float | None = None
    cut: float | None = None
    delay: float = 0.0
    slow: float = 0.0
    reset: bool = False

    def matches(self, request: Request) -> bool:
        return fnmatchcase(request.path, self.path) and all(
            request.query.get(name) == value for name, value in self.query.items()
        )

    def meets(self, number: int) -> bool:
        """Whether the rule applies to the `number`-th call that matches it."""
        if self.calls is not None:
            return number in self.calls
        if self.every is not None:
            return number % self.every == 0
        return self.first <= number and (self.last is None or number <= self.last)


_SELECTORS = {"path", "query", "calls", "every", "from", "to"}


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


def _rule(path: Path, index: int, item: object) -> Rule:
    try:
        rule = msgspec.convert(item, Rule)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--faults: {path}: rule {index}: {error}") from error
    if isinstance(item, dict) and not set(item) - _SELECTORS:
        raise ConfigError(f"--faults: {path}: rule {index}: says nothing to do, such as status or delay")
    for name in ("truncate", "cut"):
        part = getattr(rule, name)
        if part is not None and not 0 <= part <= 1:
            raise ConfigError(f"--faults: {path}: rule {index}: {name} must be between 0 and 1")
    return rule


class Faults:
    """Applies rules and counts the calls they match."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules
        self._seen = [0] * len(rules)

    def apply(self, request: Request, answer: Answer) -> Answer:
        """The answer as it leaves after all rules."""
        for index, rule in enumerate(self._rules):
            if rule.matches(request):
                self._seen[index] += 1
                if rule.meets(self._seen[index]):
                    answer = _spoiled(rule, request, answer)
        return answer


def _spoiled(rule: Rule, request: Request, answer: Answer) -> Answer:
    answer = _with_rows(rule, answer)
    answer = _replaced(rule, request, answer)
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


def _with_rows(rule: Rule, answer: Answer) -> Answer:
    edits = _edits(rule)
    if not edits or answer.status != 200:
        return answer
    envelope = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw])
    if not bytes(envelope["Data"]).lstrip().startswith(b"["):
        return answer
    rows = msgspec.json.decode(envelope["Data"], type=Rows)
    for edit in edits:
        rows = edit(rows)
    texts = ("{" + ",".join(f'"{name}":{bytes(raw).decode()}' for name, raw in row.items()) + "}" for row in rows)
    return replace(answer, body=('{"Data":[' + ",".join(texts) + '],"Err":{}}').encode())


def _edits(rule: Rule) -> list[Callable[[Rows], Rows]]:
    edits: list[Callable[[Rows], Rows]] = []
    if rule.revise is not None:
        revision = rule.revise
        edits.append(lambda rows: [_revised(row, revision) for row in rows])
    if rule.mutate is not None:
        mutation = rule.mutate
        edits.append(lambda rows: _mutated(rows, mutation))
    if rule.drop or rule.drop_ts:
        edits.append(lambda rows: _dropped(rows, rule))
    if rule.short is not None:
        count = rule.short
        edits.append(lambda rows: rows[: max(0, len(rows) - count)])
    if rule.empty:
        edits.append(lambda _: [])
    return edits


def _dropped(rows: Rows, rule: Rule) -> Rows:
    indices = {index % len(rows) for index in rule.drop if -len(rows) <= index < len(rows)}
    return [
        row
        for index, row in enumerate(rows)
        if index not in indices and int(bytes(row["TIMESTAMP"])) not in rule.drop_ts
    ]


def _mutated(rows: Rows, mutation: Mutation) -> Rows:
    values = {name: _token(value) for name, value in mutation.values.items()}
    chosen = range(len(rows)) if mutation.rows is None else mutation.rows
    indices = {index % len(rows) for index in chosen if -len(rows) <= index < len(rows)}
    return [{**row, **values} if index in indices else row for index, row in enumerate(rows)]


def _token(value: Any) -> msgspec.Raw:
    if isinstance(value, Mapping) and set(value) == {"raw"}:
        return msgspec.Raw(str(value["raw"]).encode())
    return msgspec.Raw(msgspec.json.encode(value))


def _revised(row: Row, revision: Revision) -> Row:
    if not revision.start <= int(bytes(row["TIMESTAMP"])) < revision.end:
        return row
    changed = dict(row)
    for name, raw in row.items():
        if "VOLUME" in name or name == "NUMBER_OF_CONTRACTS":
            changed[name] = _number(float(bytes(raw)) * revision.factor)
        elif name.startswith("TOTAL_"):
            changed[name] = _number(int(float(bytes(raw)) * revision.factor))
    for name in ("TOTAL_TRADES", "VOLUME", "QUOTE_VOLUME"):
        sides = [f"{name}_{side}" for side in ("BUY", "SELL", "UNKNOWN")]
        if all(side in changed for side in sides):
            changed[name] = _number(sum(float(bytes(changed[side])) for side in sides))
    return changed


def _number(value: float) -> msgspec.Raw:
    text = f"{value:.15g}"
    return msgspec.Raw(text.encode())
