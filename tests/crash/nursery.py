"""A process that has imported everything and forks a child for each run: a start costs milliseconds.

    python -m tests.crash.nursery

One JSON object a line. In: {"arguments": [...], "out": path, "errors": path, "failpoint": "name:3", "waits": bool,
"seconds": 0.1}; the child's output goes to the end of these files. Out: {"pid": ...}; if it waits, a line is read that
lets it go. After `seconds` it is killed. Out: {"status": ...}, an exit code, or a signal as a negative number.
"""

import ctypes
import json
import os
import select
import signal
import sys
import traceback
from collections import deque
from typing import Any, NoReturn

from core import failpoints
from core.errors import StoreError
from core.stores import postgres  # noqa: F401 - so that children need not
from tests.crash import child
from tests.crash.scenario import Scenario

# prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY): a debugger that is no ancestor may attach, where Yama would forbid it.
TRACER, ANYONE = 0x59616D61, -1


def run(order: dict[str, Any]) -> None:
    wait_for, let_go = os.pipe()
    alive, ends = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(let_go)
        os.close(alive)
        _become(order, wait_for)
    os.close(wait_for)
    os.close(ends)
    print(json.dumps({"pid": pid}), flush=True)
    if order.get("waits"):
        sys.stdin.readline()
    os.close(let_go)
    print(json.dumps({"status": _end(pid, alive, order.get("seconds"))}), flush=True)


def _end(pid: int, alive: int, seconds: float | None) -> int:
    """How it ended: by itself, or by us once its time is up. `alive` is at its end when no process holds it."""
    ready, _, _ = select.select([alive], [], [], seconds)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    os.close(alive)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(order: dict[str, Any], wait_for: int) -> NoReturn:
    """The child: whatever happens, it ends here."""
    code = 1
    try:
        _redirect(order)
        _arm(order.get("failpoint", ""))
        if order.get("waits"):
            _let_anyone_trace()
        os.read(wait_for, 1)
        code = child.main(order["arguments"])
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    os._exit(code)


def _redirect(order: dict[str, Any]) -> None:
    for number, name in ((1, "out"), (2, "errors")):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.close(0)


def _arm(failpoint: str) -> None:
    """What `TAPEWATCH_FAILPOINT` does, in a process that has read its environment long ago.

    `name:3=StoreError` fails there instead of ending.
    """
    name, _, count = failpoint.partition(":")
    count, _, error = count.partition("=")
    if name not in {"", *failpoints.NAMES}:
        raise ValueError(f"there is no failpoint {name!r}")
    failpoints._armed, failpoints._left = name, int(count or 1)
    if error:
        failpoints._hit = _fail


def _fail() -> None:
    failpoints._left -= 1
    if failpoints._left == 0:
        os.write(2, b"a failpoint fails\n")
        raise StoreError("a failpoint failed")


def warm_up() -> None:
    """What all children work out alike is worked out once."""
    for step in Scenario(0).steps:
        deque(step.rows(), maxlen=0)


def _let_anyone_trace() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(TRACER, ANYONE, 0, 0, 0)


def main() -> None:
    warm_up()
    for line in iter(sys.stdin.readline, ""):
        run(json.loads(line))


if __name__ == "__main__":
    main()
