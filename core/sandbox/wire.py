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


def refused(refusal: Refusal, *, as_list: bool) -> Answer:
    """The answer to a refused request; `Data` is empty in the form the path usually has."""
    error = {
        "type": _ERROR_TYPES.get(refusal.status, 2),
        "message": refusal.message,
        "other_info": refusal.info,
    }
    body = msgspec.json.encode({"Data": [] if as_list else {}, "Err": error})
    return Answer(refusal.status, body)


def succeeded(data: Any) -> Answer:
    """A 200 with `data`, any JSON value."""
    return Answer(200, msgspec.json.encode({"Data": data, "Err": {}}))
