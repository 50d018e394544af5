"""The command line: what may be typed after a colon, how it is completed, and what it does.

Screens and actions come from the table in `tui.actions`, so that whatever has a key has a command as well.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from core.alerting.silences import ANY
from core.errors import ConfigError
from core.text import clean
from core.windows import parse_span
from tui import actions, themes
from tui.query import FilterError
from tui.questions import SILENCES
from tui.state import ViewState

if TYPE_CHECKING:
    from tui.operator import OperatorApp

SPANS = ("15m", "1h", "4h", "24h")
RATES = ("0.5", "1", "2", "4", "10")
UNSAID = "from the dashboard's command line"
ACK_SECONDS, SILENCE_SECONDS = 4 * 3_600, 3_600
LONGEST = 500


class CommandError(ValueError):
    """A line that cannot be carried out; the text says why and what would be right."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a name does. `words` are what may follow, by their place; `acts` as of actions."""

    name: str
    usage: str
    does: str
    run: "Callable[[OperatorApp, list[str]], None]"
    words: tuple[Callable[[ViewState], Iterable[str]], ...] = ()
    acts: bool = False


def carry_out(app: "OperatorApp", line: str) -> None:
    """Do what `line` says. Raises CommandError."""
    name, *rest = clean(line, LONGEST).split() or [""]
    command = COMMANDS.get(name) or _unknown(name)
    if command.acts and app.desk.read_only:
        raise CommandError("read-only: nothing can be changed from here")
    try:
        command.run(app, rest)
    except (ConfigError, FilterError) as error:
        raise CommandError(str(error)) from None


def _unknown(name: str) -> Command:
    near = get_close_matches(name, COMMANDS, 1, 0.5)
    raise CommandError(f"no command {name!r}" + (f"; {near[0]}?" if near else "; tab lists them"))


def candidates(line: str, state: ViewState) -> list[str]:
    """Whole lines that `line` may become."""
    *before, last = line.split(" ")
    if not before:
        return [name for name in COMMANDS if name.startswith(last)]
    command = COMMANDS.get(before[0])
    place = len(before) - 1
    if command is None or not command.words:
        return []
    words = [clean(word) for word in command.words[min(place, len(command.words) - 1)](state)]
    fitting = [word for word in words if last.lower() in word.lower() and " " not in word]
    fitting.sort(key=lambda word: not word.lower().startswith(last.lower()))
    return [f"{' '.join(before)} {word}" for word in fitting]


def hint(line: str, state: ViewState) -> str:
    """What to type next: how the command is used, or which there are."""
    name, blank, _ = line.partition(" ")
    command = COMMANDS.get(name)
    found = candidates(line, state)
    if command is not None and not blank:
        return f"{command.usage}   {command.does}"
    if command is not None:
        return "   ".join((command.usage, *(each.rpartition(" ")[2] for each in found[:8])))
    return "  ".join(found[:20]) if found else "nothing begins like that; tab after an empty line lists all"


def _screen(kind: str, name: str) -> Command:
    def run(app: "OperatorApp", words: list[str]) -> None:
        app.show_screen(kind, " ".join(words))

    fields = (lambda _state: [f"{field}:" for field in _fields_of(kind)],)
    return Command(name, f"{name} [filter]", f"go to {name}", run, fields)


def _fields_of(kind: str) -> Iterable[str]:
    return FILTERS.get(kind, ())


def _action(action: actions.Action) -> Command:
    def run(app: "OperatorApp", words: list[str]) -> None:
        if words:
            raise CommandError(f"{action.id} takes nothing; what it is about is the row under the cursor")
        app.run_by_id(action.id)

    return Command(action.id, action.id, action.title, run, acts=action.acts)


def _theme(app: "OperatorApp", words: list[str]) -> None:
    app.theme = themes.theme_named(_only(words, "theme NAME")).name


def _rate(app: "OperatorApp", words: list[str]) -> None:
    try:
        rate = float(_only(words, "rate HZ"))
    except ValueError as error:
        raise CommandError(f"{error}; rate takes a number of redraws a second") from None
    if not float(RATES[0]) <= rate <= float(RATES[-1]):
        raise CommandError(f"rate is from {RATES[0]} to {RATES[-1]} a second")
    app.desk.refresh_hz, app.desk.throttle = rate, 1.0


def _ack(app: "OperatorApp", words: list[str]) -> None:
    name, seconds, comment = _about(words, "ack ALERT [SPAN] [comment]", ACK_SECONDS)
    app.order("ack", name, alert=name, by=app.desk.options.user, seconds=seconds, comment=comment)


def _unack(app: "OperatorApp", words: list[str]) -> None:
    name = _only(words, "unack ALERT")
    app.order("unack", name, alert=name, by=app.desk.options.user)


def _silence(app: "OperatorApp", words: list[str]) -> None:
    """A rule or `rule:source`, both patterns."""
    pattern, seconds, comment = _about(words, "silence RULE[:SOURCE] [SPAN] [why]", SILENCE_SECONDS)
    rule, _, source = pattern.partition(":")
    if rule == ANY and source in {"", ANY}:
        raise CommandError("silence what? a rule of ?* is everything")
    given = {"rule": rule, "source": source or ANY, "level": ANY, "comment": comment or UNSAID}
    app.order("silence", pattern, author=app.desk.options.user, seconds=seconds, **given)


def _unsilence(app: "OperatorApp", words: list[str]) -> None:
    name = _only(words, "unsilence ID")
    app.order("unsilence", name, silence=name)


def _only(words: list[str], usage: str) -> str:
    if len(words) != 1:
        raise CommandError(f"write: {usage}")
    return words[0]


def _about(words: list[str], usage: str, seconds: int) -> tuple[str, float, str]:
    """What comes first, the length of time after it or `seconds`, and the words that follow."""
    if not words:
        raise CommandError(f"write: {usage}")
    try:
        return words[0], float(parse_span(words[1])), " ".join(words[2:])
    except IndexError:
        return words[0], float(seconds), ""
    except ConfigError as error:
        raise CommandError(f"{error}; write: {usage}") from None


def _open_alerts(state: ViewState) -> Iterable[str]:
    return sorted(alert.alert for alert in state.firing)


def _acked_alerts(state: ViewState) -> Iterable[str]:
    return sorted(alert.alert for alert in state.firing if alert.acked_by)


def _rules(state: ViewState) -> Iterable[str]:
    return sorted({alert.rule for alert in state.firing})


def _silence_ids(state: ViewState) -> Iterable[str]:
    return [each.silence for each in state.answer(SILENCES).found or ()]


def _spans(_state: ViewState) -> Iterable[str]:
    return SPANS


def _leave(name: str) -> Callable[["OperatorApp", list[str]], None]:
    def run(app: "OperatorApp", _words: list[str]) -> None:
        app.run_by_id(name)

    return run


FILTERS: Mapping[str, tuple[str, ...]] = {
    actions.OVERVIEW: ("job", "type", "state", "label"),
    actions.JOBS: ("job", "type", "state", "label", "engine"),
    actions.DATA: ("type", "market", "instrument", "interval", "gaps>0"),
    actions.ALERTS: ("level", "state", "rule", "source", "cause"),
    actions.CACHE: ("by", "name"),
    actions.SYSTEM: ("level", "source", "job", "text"),
}
"""What is often filtered by, for completion; a screen's filter knows all its fields."""


def _nothing(_state: ViewState) -> Iterable[str]:
    return ()


_ACK = Command(
    "ack", "ack ALERT [SPAN] [comment]", "see to an alert", _ack, (_open_alerts, _spans, _nothing), acts=True
)
_SILENCE = Command(
    "silence", "silence RULE[:SOURCE] [SPAN] [why]", "tell nobody", _silence, (_rules, _spans, _nothing), acts=True
)
_OWN = (
    Command("theme", "theme NAME", "change colours", _theme, (lambda _state: themes.THEMES,)),
    Command("rate", "rate HZ", "redraw so often at most", _rate, (lambda _state: RATES,)),
    _ACK,
    Command("unack", "unack ALERT", "see to it no more", _unack, (_acked_alerts,), acts=True),
    _SILENCE,
    Command("unsilence", "unsilence ID", "end a silence", _unsilence, (_silence_ids,), acts=True),
    Command("q", "q", "leave", _leave("quit")),
    Command("q!", "q!", "leave at once", _leave("quit.now")),
)
COMMANDS: Mapping[str, Command] = {
    **{kind: _screen(kind, kind) for kind in (*actions.TABS, actions.HELP)},
    **{command.name: command for command in _OWN},
    **{action.id: _action(action) for action in actions.ACTIONS if action.id not in {"help", "theme"}},
}
