"""What the program did, told to whoever measures it: one frozen record an operation, and hooks that take it.

The hooks are the way in for other systems: metrics, rates for alerts and history are hooks themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass

API, DATABASE, WINDOW, ROWS, JOB, NOTIFICATION = "api", "database", "window", "rows", "job", "notification"
OPERATIONS = (API, DATABASE, WINDOW, ROWS, JOB, NOTIFICATION)
OK, RETRIED = "ok", "retried"
GOOD = frozenset({OK, "complete", "complete_with_gaps"})
"""Outcomes of operations that went well."""


@dataclass(frozen=True, slots=True)
class Done:
    """An operation that ended.

    `operation` is one of OPERATIONS; `kind` what of it, from a small set:

    api           a class of endpoints: history, listing, rate_limit; outcomes ok, 429, 4xx, 5xx, timeout, network and
                  malformed; the amount is bytes on the wire
    database      what was done: commit, read, journal; outcomes ok, busy, away (tried again) and error
    window        a data type; outcomes ok, failed (given up) and retried; the amount is rows
    rows          a data type; the outcome is what became of the `amount` of rows: inserted, updated, unchanged,
                  quarantined, restated (which are updated too). They take no time
    job           a data type; the outcome is its final state
    notification  a channel; outcomes ok, or what went wrong
    """

    operation: str
    kind: str
    outcome: str
    seconds: float
    amount: int = 0


Hook = Callable[[Done], None]


class Telemetry:
    """Tells every hook; a hook is quick and does not raise."""

    def __init__(self) -> None:
        self._hooks: tuple[Hook, ...] = ()

    def add(self, hook: Hook) -> None:
        self._hooks = (*self._hooks, hook)

    def done(self, operation: str, kind: str, outcome: str, seconds: float, amount: int = 0) -> None:
        if self._hooks:
            told = Done(operation, kind, outcome, seconds, amount)
            for hook in self._hooks:
                hook(told)
