"""Colours: our dark, light, 16-colour, high-contrast and colour-blind themes.

Healthy is blue rather than green in all of them, and glyphs and words say the same as every colour. `blind` goes
further: any two of its states differ in brightness too.
"""

from textual.theme import BUILTIN_THEMES, Theme

from core.errors import ConfigError

NAMES = ("dark", "light", "ansi", "contrast", "blind")


def _theme(name: str, *, dark: bool, **colours: str) -> Theme:
    names = ("ok", "warn", "bad", "busy", "dim", "strong", "edge", "pick", "pick-text")
    variables = {f"tw-{key}": colours[key.replace("-", "_")] for key in names}
    return Theme(
        name=f"tapewatch-{name}",
        dark=dark,
        primary=colours["accent"],
        secondary=colours["busy"],
        accent=colours["accent"],
        warning=colours["warn"],
        error=colours["bad"],
        success=colours["ok"],
        foreground=colours["text"],
        background=colours["back"],
        surface=colours["back"],
        panel=colours["box"],
        variables=variables,
    )


DARK = _theme(
    "dark", dark=True, accent="#7cc4ff", text="#d6dde6", back="#0f141a", box="#1b232d", ok="#5fb3d4",
    warn="#e8b04a", bad="#ff7a66", busy="#6f9fd8", dim="#818c9a", strong="#f2f6fa", edge="#34414f",
    pick="#2d5f8a", pick_text="#ffffff",
)  # fmt: skip
LIGHT = _theme(
    "light", dark=False, accent="#0b62a8", text="#1d252e", back="#fbfbf8", box="#eceae3", ok="#0d6d8c",
    warn="#8a5a00", bad="#b3261e", busy="#2f63a3", dim="#5d6772", strong="#000000", edge="#b9bec4",
    pick="#0b62a8", pick_text="#ffffff",
)  # fmt: skip
CONTRAST = _theme(
    "contrast", dark=True, accent="#ffff00", text="#ffffff", back="#000000", box="#000000", ok="#00ffff",
    warn="#ffd700", bad="#ff9090", busy="#ffffff", dim="#e0e0e0", strong="#ffffff", edge="#ffffff",
    pick="#ffff00", pick_text="#000000",
)  # fmt: skip
BLIND = _theme(
    "blind", dark=True, accent="#56b4e9", text="#e6e6e6", back="#101010", box="#1e1e1e", ok="#56b4e9",
    warn="#f0e442", bad="#d9651a", busy="#a9c8e8", dim="#9a9a9a", strong="#ffffff", edge="#4a4a4a",
    pick="#0072b2", pick_text="#ffffff",
)  # fmt: skip
ANSI = Theme(
    name="tapewatch-ansi",
    dark=True,
    primary="ansi_bright_cyan",
    secondary="ansi_cyan",
    accent="ansi_bright_cyan",
    warning="ansi_yellow",
    error="ansi_bright_red",
    success="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    ansi=True,
    variables=BUILTIN_THEMES["ansi-dark"].variables
    | {
        "tw-ok": "ansi_cyan",
        "tw-warn": "ansi_yellow",
        "tw-bad": "ansi_bright_red",
        "tw-busy": "ansi_bright_blue",
        "tw-dim": "ansi_default",
        "tw-strong": "ansi_default",
        "tw-edge": "ansi_bright_black",
        "tw-pick": "ansi_blue",
        "tw-pick-text": "ansi_bright_white",
    },
)
THEMES = dict(zip(NAMES, (DARK, LIGHT, ANSI, CONTRAST, BLIND), strict=True))


def theme_named(name: str) -> Theme:
    """Raises ConfigError naming the themes there are."""
    if name not in THEMES:
        raise ConfigError(f"no theme {name!r}; there are {', '.join(NAMES)}")
    return THEMES[name]
