"""What a terminal shows after frames of which only the differences were sent: the same as after all of them."""

import random
import re
from collections.abc import Container

import pytest
from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style

from tui.glass import Glass

PLAIN, RED = Style(), Style.parse("red")
TRUE = ColorSystem.TRUECOLOR


def drawn(glass: Glass, text: str, style: Style = PLAIN, x: int = 0) -> str:
    return "".join(glass.draw(0, x, [Segment(text, style)], TRUE))


@pytest.mark.parametrize(
    ("before", "after", "sent"),
    [
        ("abc", "abc", ""),
        ("abc", "abd", "\x1b[1;3Hd"),
        ("abcdefghij", "Xbcdefghiy", "\x1b[1;1HX\x1b[1;10Hy"),
        ("abcdefghij", "XbcYefghij", "\x1b[1;1HXbcY"),
        ("日本", "日木", "\x1b[1;3H木"),
        ("日x.....", "ab語....", "\x1b[1;1Hab語"),
    ],
)
def test_only_what_changed_is_sent(before: str, after: str, sent: str) -> None:
    glass = Glass()
    drawn(glass, before)
    assert drawn(glass, after) == sent


def test_another_colour_is_a_change_and_is_told_once() -> None:
    glass = Glass()
    drawn(glass, "abcd")
    segments = [Segment("ab", PLAIN), Segment("c", RED), Segment("d", RED)]
    assert "".join(glass.draw(0, 0, segments, TRUE)) == "\x1b[1;3H\x1b[31mcd\x1b[0m"


def test_after_it_forgot_everything_is_sent() -> None:
    glass = Glass()
    first = drawn(glass, "abc")
    assert drawn(glass, "abc") == ""
    glass.clear()
    assert drawn(glass, "abc") == first == "\x1b[1;1Habc"


def show(glass: Glass, lines: list[str], most: float, urgent: Container[int] = ()) -> list[int]:
    """Which lines are sent of a frame, in this order."""
    pieces = [(y, 0, [Segment(text, PLAIN)]) for y, text in enumerate(lines)]
    sent = "".join(glass.show(pieces, most, urgent, TRUE))
    return [int(y) - 1 for y in re.findall(r"\x1b\[(\d+);1H", sent)]


def test_what_is_too_much_for_a_frame_is_shown_by_the_next_ones() -> None:
    glass = Glass()
    frames = [show(glass, ["x" * 10] * 8, most=40) for _ in range(4)]
    assert frames == [[0, 1, 2], [3, 4, 5], [6, 7], []]
    assert not glass.is_behind


def test_what_is_urgent_comes_first_and_no_line_waits_for_ever() -> None:
    glass = Glass()
    frames = [show(glass, [str(number) * 10] * 6, most=40, urgent={4}) for number in range(5)]
    assert glass.is_behind
    assert frames == [[4, 0, 1], [4, 2, 3], [4, 5, 0], [4, 1, 2], [4, 3, 5]]


class Terminal:
    """One line; what is written over half of a wide character blanks the other half."""

    def __init__(self, width: int) -> None:
        self.cells = [("", "")] * width

    def write(self, output: str) -> None:
        x, colours = 0, ""
        for column, sgr, character in re.findall(r"\x1b\[1;(\d+)H|\x1b\[([\d;]*)m|(.)", output):
            if column:
                x = int(column) - 1
            elif character:
                x = self._put(x, character, colours)
            else:
                colours = "" if sgr == "0" else sgr

    def _put(self, x: int, character: str, colours: str) -> int:
        width = cell_len(character)
        for at in range(x, x + width):
            if self.cells[at][0] == "right":
                self.cells[at - 1] = (" ", "")
            if at + 1 < len(self.cells) and self.cells[at + 1][0] == "right":
                self.cells[at + 1] = (" ", "")
        self.cells[x : x + width] = [(character, colours), ("right", colours)][:width]
        return x + width


def test_the_terminal_shows_the_newest_frame_after_any_frames_before(seed: int) -> None:
    """Random lines with wide characters and colours."""
    chance = random.Random(seed)
    glass, tight, loose = Glass(), Terminal(40), Terminal(40)
    sent = whole = 0
    before: list[Segment] = []
    for _ in range(500):
        segments = [_changed(chance, segment) for segment in before] or [Segment("ab日語" * 5, PLAIN)]
        output = "".join(glass.draw(0, 0, segments, TRUE))
        everything = "".join(Glass().draw(0, 0, segments, TRUE))
        tight.write(output)
        loose.write(everything)
        assert tight.cells == loose.cells
        sent, whole, before = sent + len(output), whole + len(everything), segments
    assert sent < whole


def _changed(chance: random.Random, segment: Segment) -> Segment:
    text = list(segment.text)
    at = chance.randrange(len(text))
    same_width = "ab .x" if cell_len(text[at]) == 1 else "日語本木"
    text[at] = chance.choice(same_width)
    if chance.random() < 0.2:
        text.reverse()
    return Segment("".join(text), chance.choice((PLAIN, PLAIN, RED)))
