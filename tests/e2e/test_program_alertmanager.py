"""A real Alertmanager takes alerts from the program itself, and does not forget what goes on."""

from pathlib import Path

import pytest
from e2e_program import Processes, until

from core.alerting import Entry
from core.alerting.messages import Message, compose, message_id
from core.bus import Bus
from core.clock import LoopClock
from core.events import AlertChanged
from core.notify.opening import ChannelOptions, open_channel
from core.notify.post import PostOptions
from core.servers import free_port
from tests.prometheus import Alertmanager, alertmanager_command, needs_prometheus, receiving


def message(**fields: object) -> Message:
    now = LoopClock().wall()
    given = {"alert": "memory:host", "rule": "memory", "level": "CRITICAL", "state": "firing", "since": now - 60,
             "message": "97 % of <b>memory</b>", "source": 'a"\n{b}', "incident": "i1", "fired": now - 30}  # fmt: skip
    alert = AlertChanged(**{**given, **fields})  # type: ignore[arg-type]
    entry = Entry("am", "CRITICAL:memory", "fired", alert, now, now)
    return compose(message_id([entry]), [entry])


@pytest.mark.slow
@needs_prometheus
@pytest.mark.timeout(120)
async def test_an_alert_fires_and_is_over_in_alertmanager(processes: Processes, tmp_path: Path) -> None:
    port = free_port()
    with receiving() as receiver:
        processes.run(alertmanager_command(tmp_path, port, receiver.url), {})
        server = Alertmanager(f"http://127.0.0.1:{port}")
        until(lambda: server.is_ready, "Alertmanager is ready")
        options = ChannelOptions("am", f"alertmanager+{server.url}", post=PostOptions(allow_private=True))
        channel = open_channel(options, Bus(lambda: 0.0), LoopClock())
        await channel.send(message())
        until(lambda: receiver.told("memory", "firing"), "it is told")
        await channel.keep(message().alerts)
        assert server.alerts() == ["memory"]
        [found] = [alert for body in receiver.bodies for alert in body["alerts"]]
        assert found["labels"] == {
            "alertname": "memory", "job": "tapewatch", "severity": "critical", "source": "a” {b}"
        }  # fmt: skip
        assert found["annotations"]["summary"] == "97 % of ‹b›memory‹/b›"
        await channel.send(message(state="resolved", resolved=LoopClock().wall()))
        until(lambda: receiver.told("memory", "resolved"), "that it is over is told")
        assert server.alerts() == []
