"""The README's pictures are of this dashboard; `make picture` takes them anew."""

import html
import re
from pathlib import Path

import pytest

from tui import actions

ROOT = Path(__file__).parents[2]
PICTURES = ("dashboard", "dashboard_data", "dashboard_jobs")


def shown(name: str) -> str:
    svg = (ROOT / "docs" / f"{name}.svg").read_text()
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", svg)
    return html.unescape(" ".join(texts)).replace("\xa0", " ")


@pytest.mark.parametrize("name", PICTURES)
def test_it_has_the_tabs_that_there_are(name: str) -> None:
    words = re.sub(r"\s+", " ", shown(name))
    for key, title in actions.TABS.values():
        assert f"{key} {title}" in words, "run `make picture`, look, and commit"


@pytest.mark.parametrize("name", PICTURES)
def test_it_loads_nothing_from_elsewhere(name: str) -> None:
    svg = (ROOT / "docs" / f"{name}.svg").read_text()
    assert not re.findall(r"(?:url\(|href=|src=)[\"']?https?:", svg)


def test_there_are_no_others_and_the_readme_shows_them() -> None:
    assert {path.stem for path in (ROOT / "docs").glob("*.svg")} == set(PICTURES)
    readme = (ROOT / "README.md").read_text()
    assert all(f"docs/{name}.svg" in readme for name in PICTURES)
