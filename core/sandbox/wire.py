"""Requests, answers and errors of the vendor's API, without a network.

An error of the API is raised as `Refusal` anywhere below the router, which turns it into an answer.
The numbers of error types are guesses except 1, "not found": clients must go by the HTTP status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

JSON_TYPE = "application/json; charset=UTF-8"
_ERROR_TYPES = {400: 2, 401: 3, 404: 1, 405: 4, 429: 99, 500: 96, 503: 94}


@dataclass(frozen=True, slots=True)
class Request:
    """One call. Header names in lower case."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    raw_path: str = ""

    @property
    def key(self) -> str:
        """The API key in any of the places the vendor reads it from; headers come first."""
        scheme, _, key = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() in {"apikey", "bearer", "basic"} and key.strip():
            return key.strip()
        return self.headers.get("x-api-key") or self.query.get("api_key", "")

    @property
    def url(self) -> str:
        """Path and query as they were sent."""
        if self.raw_path or not self.query:
            return self.raw_path or self.path
        return f"{self.path}?{urlencode(self.query, safe=',')}"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer travels, for faults. Times in seconds; `cut` is the part sent before a hang-up."""

    delay: float = 0.0
    drip: float = 0.0
    cut: float | None = None
    reset: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers and body of an answer."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": JSON_TYPE})
    delivery: Delivery = Delivery()


class Refusal(Exception):
    """The API's refusal of a request; `info` becomes `Err.other_info`."""

    def __init__(self, status: int, message: str, **info: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.info = info


def refused(refusal: Refusal, path: str) -> Answer:
    """The answer to a refused request; `Data` is empty in the form that `path` usually has."""
    error = {
        "type": _ERROR_TYPES.get(refusal.status, 2),
        "message": refusal.message,
        "other_info": refusal.info,
    }
    body: dict[str, Any] = {"Data": [] if "/historical/" in path else {}}
    if path.endswith("/metadata"):
        body["Warn"] = {}
    return Answer(refusal.status, msgspec.json.encode({**body, "Err": error}))


def succeeded(data: Any, warn: Mapping[str, Any] | None = None) -> Answer:
    """A 200 with `data`, any JSON value; `warn` on endpoints that may answer in part."""
    body = {"Data": data} if warn is None else {"Data": data, "Warn": warn}
    return Answer(200, msgspec.json.encode({**body, "Err": {}}))
