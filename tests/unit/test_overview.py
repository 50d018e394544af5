"""What `status` and the System tab say of the vendor."""

import pytest

from core.cli.overview import source_health
from core.events import AlertChanged

ENDED, RUNNING = {"state": "complete"}, {"state": "running"}


def alert(rule: str) -> AlertChanged:
    return AlertChanged(alert=f"{rule}:x", rule=rule, level="ERROR", state="firing", since=0.0, message="m")


@pytest.mark.parametrize(
    ("runs", "rules", "health"),
    [
        ([], [], "unknown"),
        ([RUNNING], [], "unknown"),
        ([ENDED], [], "ok"),
        ([ENDED], ["host_memory"], "ok"),
        ([ENDED], ["host_memory", "vendor_unavailable"], "failing"),
        ([], ["key_refused"], "failing"),
        ([ENDED], ["run_failed"], "failing"),
    ],
)
def test_the_source_is_as_alerts_and_runs_found_it(runs: list[dict[str, str]], rules: list[str], health: str) -> None:
    assert source_health(runs, [alert(rule) for rule in rules]) == health
