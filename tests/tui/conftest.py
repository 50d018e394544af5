"""Every dashboard test runs without animations, colours of the outside, or an SSH session."""

import pytest


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
