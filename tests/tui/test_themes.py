"""Colours can be read, and told apart by those who see fewer of them."""

from itertools import combinations

import pytest
from textual.color import Color
from textual.theme import Theme

from tui.themes import NAMES, THEMES

COLOURED = [name for name in NAMES if name != "ansi"]
TEXTS = ("ok", "warn", "bad", "busy", "dim", "strong")
READABLE, STRONG = 4.5, 7.0  # WCAG 2 AA and AAA
# Linear RGB as people without green and without red receptors see it (Viénot 1999).
WITHOUT_GREEN = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))
WITHOUT_RED = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))


def linear(colour: Color) -> tuple[float, float, float]:
    parts = (part / 255 for part in colour.rgb)
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def brightness(colour: tuple[float, float, float]) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), colour, strict=True))


def contrast(one: Color, other: Color) -> float:
    bright, dark = sorted((brightness(linear(one)), brightness(linear(other))), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def colours(theme: Theme) -> dict[str, Color]:
    found = {name.removeprefix("tw-"): Color.parse(value) for name, value in theme.variables.items()}
    plain = {"text": theme.foreground, "accent": theme.accent, "back": theme.background, "box": theme.panel}
    return found | {name: Color.parse(value) for name, value in plain.items() if value}


def test_contrast_is_what_it_is_known_to_be() -> None:
    assert contrast(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", COLOURED)
def test_all_text_can_be_read_on_both_backgrounds(name: str) -> None:
    of = colours(THEMES[name])
    wanted = STRONG if name == "contrast" else READABLE
    weak = {
        f"{text} on {back}": round(contrast(of[text], of[back]), 2)
        for text in (*TEXTS, "text", "accent")
        for back in ("back", "box")
        if contrast(of[text], of[back]) < wanted
    }
    assert not weak
    assert contrast(of["pick-text"], of["pick"]) >= wanted


@pytest.mark.parametrize("sight", [WITHOUT_GREEN, WITHOUT_RED], ids=["without green", "without red"])
@pytest.mark.parametrize("name", COLOURED)
def test_good_and_bad_are_told_apart_by_the_colour_blind(
    name: str, sight: tuple[tuple[float, float, float], ...]
) -> None:
    of = colours(THEMES[name])
    seen = {
        state: [sum(a * b for a, b in zip(row, linear(of[state]), strict=True)) for row in sight] for state in TEXTS
    }
    assert max(abs(a - b) for a, b in zip(seen["ok"], seen["bad"], strict=True)) > 0.1


def test_states_of_the_colour_blind_theme_differ_in_brightness() -> None:
    of = colours(THEMES["blind"])
    for one, other in combinations(("ok", "warn", "bad"), 2):
        assert contrast(of[one], of[other]) > 1.3, (one, other)


def test_sixteen_colours_are_those_of_the_terminal() -> None:
    assert all(value.startswith("ansi_") for name, value in THEMES["ansi"].variables.items() if name.startswith("tw-"))
