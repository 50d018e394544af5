"""Settings of channels: what is refused by name, and that secrets are not shown."""

from pathlib import Path

import pytest

from core import channels
from core.config import Loaded, load
from core.errors import ConfigError
from core.events import AlertChanged

SECRET = "whsec_" + "QUJD" * 12
URL = "https://hooks.example/T0K3N"


def loaded(tmp_path: Path, text: str, **environ: str) -> Loaded:
    path = tmp_path / "tapewatch.toml"
    path.write_text(text, "utf-8")
    return load({"config_file": str(path)}, environ)


def test_a_channel_is_opened_with_what_files_and_the_environment_keep(tmp_path: Path) -> None:
    for name, text in (("url", URL), ("secret", SECRET)):
        (tmp_path / name).write_text(f"{text}\n")
        (tmp_path / name).chmod(0o600)
    given = loaded(
        tmp_path,
        f"""
        [alerts.channels.ops]
        url_file = "{tmp_path}/url"
        secret_file = "{tmp_path}/secret"
        [alerts.channels.chat]
        rules = "data_*, run_failed"
        level = "ERROR"
        """,
        TAPEWATCH_CHANNEL_CHAT_URL="log://T0K3N",
        TAPEWATCH_HEARTBEAT_URL=URL,
    )
    assert given.channels["ops"].url.get_secret_value() == URL
    assert given.channels["ops"].secret.get_secret_value() == SECRET
    assert "T0K3N" not in repr(given)
    assert "QUJD" not in repr(given)
    routes = channels.routes(given)
    told = {
        rule: routes.channels(AlertChanged(alert="x", rule=rule, level="ERROR", state="firing", since=0, message=""))
        for rule in ("data_freshness", "run_failed", "memory")
    }
    assert told == {"data_freshness": ("ops", "chat"), "run_failed": ("ops", "chat"), "memory": ("ops",)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[alerts.channels.ops]", "alerts.channels.ops: url is one line"),
        ("[alerts.channels.Ops]\nurl = 'log://'", "'Ops' is no name of a channel"),
        ("[alerts.channels.ops]\nurl = 'log://'\nfallback = 'pager'", "ops: fallback names another channel"),
        ("[alerts.channels.ops]\nurl = 'log://'\nfallback = 'ops'", "ops: fallback names another channel"),
        ("[alerts.channels.ops]\nurl = 'log://'\nescalate_to = 'pager'", "ops: escalate_to names another channel"),
        ("[alerts.channels.ops]\nurl = 'log://'\nescalate_after = 900", "ops: write both escalate_after"),
        ("[alerts.channels.ops]\nurl = 'log://'\nlevel = 'BAD'", "alerts.channels.ops.level"),
        ("[alerts.channels.ops]\nurl = 'log://'\nlevels = 'INFO'", "did you mean 'level'"),
        ("[alerts.channels.ops]\nurl = 'log://'\nrules = '**********'", "8 stars"),
        ("[alerts.channels.ops]\nurl_file = '/no/such'", "alerts.channels.ops.url_file /no/such"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        loaded(tmp_path, text)


def test_a_secret_for_no_channel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TAPEWATCH_CHANNEL_OSP_URL, which belongs to no channel"):
        loaded(tmp_path, "[alerts.channels.ops]\nurl = 'log://'", TAPEWATCH_CHANNEL_OSP_URL="log://")


async def test_a_channel_is_tried(tmp_path: Path) -> None:
    given = loaded(tmp_path, "[alerts.channels.ops]\nurl = 'log://'")
    said = await channels.test_channel(given, "ops")
    assert said.startswith("ops (log) took a test message; TEST ERROR test: test, ops")
    with pytest.raises(ConfigError, match="there is no channel 'osp'; there are ops"):
        await channels.test_channel(given, "osp")


async def test_a_channel_that_does_not_work_is_said_so(tmp_path: Path) -> None:
    given = loaded(tmp_path, "[alerts.channels.ops]\nurl = 'command://'\nprogram = ['/no/such/program']")
    with pytest.raises(Exception, match=r"^ops: /no/such/program: there is no such program$"):
        await channels.test_channel(given, "ops")
