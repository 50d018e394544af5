"""Every dashboard test runs without animations, colours of the outside, or an SSH session."""

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]

# The plug-in names the suffix in the way of older syrupy versions; without this the files end in .raw.
SVGImageExtension.file_extension = "svg"


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
