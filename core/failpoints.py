"""Named places where a test may kill the process, no-ops in production.

`TAPEWATCH_FAILPOINT=after_commit:3` ends the process like kill -9 when `after_commit` is reached for
the third time. The environment is read once at import, so an unarmed failpoint costs one comparison.
"""

import os

NAMES = frozenset(
    "before_request after_headers after_body after_parse after_validate tx_begin tx_rows tx_quarantine "
    "tx_cursor tx_outbox before_commit after_commit cache_set event_publish ack lease_renew notify_claim "
    "before_post after_post mark_sent checkpoint migrate_step config_swap shutdown_drain".split()
)
_armed, _, _count = os.environ.get("TAPEWATCH_FAILPOINT", "").partition(":")
if _armed and _armed not in NAMES:
    raise SystemExit(f"TAPEWATCH_FAILPOINT: there is no failpoint {_armed!r}; there are {', '.join(sorted(NAMES))}")
_left = int(_count or 1)


def failpoint(name: str) -> None:
    """End the process here if this failpoint is armed and its turn has come."""
    if name == _armed:
        _hit()


def _hit() -> None:
    global _left  # noqa: PLW0603 - one process, one failpoint
    _left -= 1
    if _left == 0:
        os._exit(137)
