"""Names of alerts, rules and levels as users write them, and what shells offer for them."""

from typing import TYPE_CHECKING

from core.cli.arguments import same_name
from core.cli.context import settings, words

if TYPE_CHECKING:
    from core.alerting.rules import Rules
    from core.config import Loaded


def alert_name(text: str) -> str:
    """`rule:source`, with - and _ alike in the rule; incidents are what they are."""
    rule, colon, source = text.partition(":")
    return f"{same_name(rule)}:{source}" if colon else text


def rule_pattern(text: str) -> str:
    return same_name(text)


def level_name(text: str) -> str:
    """One of LEVELS, in whatever letters. Raises ConfigError."""
    from core.cli.stored import known  # noqa: PLC0415
    from core.events import LEVELS  # noqa: PLC0415

    [level] = known("level", (text.strip().upper(),), LEVELS)
    return level


def rules_in_force(loaded: "Loaded") -> "Rules":
    """Those that an engine would go by; the defaults, and words about it, where its file is wrong."""
    from core.alerting.rule_files import default_rules, rules_of  # noqa: PLC0415
    from core.errors import ConfigError  # noqa: PLC0415

    try:
        return rules_of(loaded.rules_file)
    except ConfigError as error:
        words(f"the default rules are gone by: {error}")
        return default_rules()


def level_names() -> list[str]:
    from core.events import LEVELS  # noqa: PLC0415

    return list(LEVELS)


def rule_names() -> list[str]:
    from core.alerting.rule_files import default_rules, rules_of  # noqa: PLC0415
    from core.errors import TapewatchError  # noqa: PLC0415

    try:
        return sorted(rules_of(settings(announce=False).rules_file).rules)
    except TapewatchError:
        return sorted(default_rules().rules)


def open_alerts() -> list[str]:
    from core.errors import TapewatchError  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.text import clean  # noqa: PLC0415

    try:
        with reading(settings(announce=False).database) as reader:
            return [clean(alert.alert) for alert in reader.alerts()]
    except TapewatchError:
        return []
