"""What stands in front of the API: the log, keys, limits, faults and the headers of every answer.

`Gate.answer` is the whole sandbox without a network: tests call it in memory and get the same
answers and the same log as over HTTP.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from core.errors import ConfigError
from core.sandbox.api import Api, recorded, superseded, synthetic
from core.sandbox.faults import Faults, read_rules
from core.sandbox.options import SandboxOptions
from core.sandbox.quota import SOFT_CAP, Ledger
from core.sandbox.replay import Replay
from core.sandbox.wire import Answer, Refusal, Request, refused, succeeded

_RATE_PATH = "/admin/v2/rate/limit"
_OLD_RATE_PATH = "/admin/v1/rate/limit"


class Gate:
    """One running sandbox. `clock` gives real UTC epoch seconds, `log` takes one line a request.

    Raises ConfigError when the files that `options` names cannot be used.
    """

    def __init__(
        self,
        options: SandboxOptions,
        log: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._options = options
        self._log = log
        self._clock = clock
        self._ledger = Ledger(options.limits)
        self._calls = 0
        self._faults = Faults([] if options.faults is None else read_rules(options.faults))
        if options.replay is None:
            self._api = Api(synthetic(options))
            self._mark = f"seed={options.seed}"
        elif options.scenario or options.revisions:
            raise ConfigError("--replay: recorded pages take no --scenario and no --revisions")
        else:
            self._api = Api(recorded(Replay(options.replay, _complain)))
            self._mark = "replay"

    def answer(self, request: Request) -> Answer:
        """Answers and logs one request; the log line is written before this returns."""
        at = self._clock()
        # Limits end with the vendor's windows, also of a clock that is frozen otherwise.
        theirs = at + self._options.skew
        now = theirs if self._options.now is None else self._options.now + self._options.skew
        self._calls += 1
        answer = self._faults.apply(request, self._checked(request, int(now), theirs), int(now))
        headers = {
            **self._ledger.headers(theirs),
            "Date": formatdate(now, usegmt=True),
            "X-Tapewatch-Sandbox": self._mark,
            **answer.headers,
        }
        self._write(request, answer.status, at)
        return replace(answer, headers=headers)

    def _checked(self, request: Request, now: int, at: float) -> Answer:
        try:
            self._check_key(request)
            self._check_limits(at)
        except Refusal as refusal:
            return refused(refusal, request.path)
        if request.path in {_RATE_PATH, _OLD_RATE_PATH} and request.method == "GET":
            answer = self._rate_limit(at)
            return answer if request.path == _RATE_PATH else superseded(answer, _RATE_PATH)
        return self._api.answer(request, now)

    def _check_key(self, request: Request) -> None:
        wanted = self._options.require_key
        key = request.key
        if wanted is None:
            if request.path in {_RATE_PATH, _OLD_RATE_PATH} and not key:
                raise Refusal(401, "This endpoint needs an API key.", param="api_key", values=[])
        elif key != wanted:
            raise Refusal(401, "The API key is missing or unknown.", param="api_key", values=[])

    def _check_limits(self, at: float) -> None:
        if not self._ledger.admit(at):
            raise Refusal(
                429,
                "You are over your rate limit; see the X-RateLimit headers.",
                param="rate_limit",
                values=[],
            )

    def _rate_limit(self, at: float) -> Answer:
        used = self._ledger.used(at)
        limits = {limit.name: limit.enforced for limit in self._options.limits}
        account = _account(used, limits)
        nobody = _account(dict.fromkeys(used, 0), limits)
        return succeeded({"TYPE": "3000", "API_KEY": account, "AUTH_KEY": nobody})

    def _write(self, request: Request, status: int, at: float) -> None:
        if self._log is None:
            return
        line = {"time": at, "n": self._calls, "method": request.method, "path": request.url, "status": status}
        self._log(json.dumps(line) + "\n")


def _complain(text: str) -> None:
    sys.stderr.write(text + "\n")


def _account(used: dict[str, int], limits: dict[str, int]) -> dict[str, Any]:
    left = {name: max(0, limits[name] - used[name]) for name in limits}
    return {
        "TYPE": "3001",
        "USED": {"TYPE": "3002", **_upper(used, limits)},
        "MAX": {
            "TYPE": "3003",
            **_upper(limits, reversed(limits)),
            "SOFT_CAP_ALLOWANCE_MULTIPLIER": SOFT_CAP,
        },
        "REMAINING": {"TYPE": "3004", **_upper(left, limits)},
    }


def _upper(figures: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name.upper(): figures[name] for name in names}
