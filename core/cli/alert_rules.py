"""`alerts rules` and `alerts rehearse`: which rules hold, whether a file of them is right, what it would have told."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import print_table, show
from core.text import clean

if TYPE_CHECKING:
    from core.alerting.rehearsal import Firing
    from core.alerting.rules import Rule, Rules

rules = typer.Typer(help="The rules of alerts: the defaults, and the file that changes them.", no_args_is_help=True)
COLUMNS = ("rule", "reading", "source", "levels", "for", "keep_firing_for", "no_data", "cause")
FIRINGS = ("rule", "source", "level", "fired", "lasted", "message")
NEVER = "nothing would have fired"


@rules.command("list")
def rules_list(output: LookOutput = Output.text) -> None:
    """The rules that engines go by, with what they look at and how bad which figure is."""
    from core.alerting.rule_files import rules_of  # noqa: PLC0415

    _show(rules_of(settings(announce=False).rules_file), output)


@rules.command("check")
def rules_check(
    file: Annotated[Path | None, typer.Argument(help="A file of rules. Default: alerts.rules of the settings.")] = None,
    output: LookOutput = Output.text,
) -> None:
    """Say whether a file of rules is right, and which rules it makes; exit 2 with every problem when it is not."""
    from core.alerting.rule_files import rules_of  # noqa: PLC0415

    path = file or settings(announce=False).rules_file
    found = rules_of(path)
    _show(found, output)
    off = f"; switched off: {', '.join(sorted(found.off))}" if found.off else ""
    words(f"{clean(str(path or 'the defaults'))}: {len(found.rules)} rules are right{off}")


def rehearse(
    since: Annotated[str, typer.Option("--since", help="A UTC date or time, or how long ago: 30d, 12h.")] = "30d",
    file: Annotated[
        Path | None, typer.Option("--rules", help="A file of rules. Default: alerts.rules of the settings.")
    ] = None,
    output: LookOutput = Output.text,
) -> None:
    """What rules would have told of the stored past: when, how bad and for how long, and what cannot be known.

    The past is the journal of runs, restatements and, of the last two days, figures of minutes, all engines taken
    together. Nothing is written and nobody is told.
    """
    from core.alerting.rehearsal import blind, rehearsed  # noqa: PLC0415
    from core.alerting.rule_files import rules_of  # noqa: PLC0415
    from core.monitoring.past import JOURNAL, MINUTE, Past, past_moments  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import Window, iso, parse_since  # noqa: PLC0415

    loaded, now = settings(announce=False), time.time()
    chosen, begin = rules_of(file or loaded.rules_file), parse_since(since, now)
    with reading(loaded.database) as reader, reader.snapshot():
        past = Past(*reader.past(begin), reader.samples(MINUTE, Window(begin, int(now) + 1)))
    firings = rehearsed(chosen, past_moments(past, chosen, now))
    known = {name: iso(at) for name, at in past.known_since.items()}
    unknown = [{"rule": rule, "why": why} for rule, why in blind(chosen, JOURNAL | known.keys())]
    if output is not Output.text:
        found = {"firings": [_firing(each, now) for each in firings], "known_since": known, "not_rehearsed": unknown}
        data(json.dumps({"since": iso(begin), "until": iso(now), **found}))
        return
    _print_firings(firings, now)
    data("")
    for name, at in known.items():
        data(f"{name} is known since {at} only: figures of minutes are kept for two days")
    data(f"not rehearsed, {iso(begin)} .. {iso(now)}:")
    print_table(unknown)


def _print_firings(firings: "list[Firing]", now: float) -> None:
    from core.alerting.rules import figure  # noqa: PLC0415

    rows = [_firing(each, now) for each in firings]
    for row in rows:
        row["lasted"] = figure(row["seconds"] / 60, "min") + ("" if row["ended"] else ", and goes on")
    show([{name: row[name] for name in FIRINGS} for row in rows], Output.text, FIRINGS, NEVER)


def _firing(firing: "Firing", now: float) -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    alert, end = firing.alert, firing.ended
    return {
        "rule": alert.rule,
        "source": clean(alert.source),
        "level": firing.level,
        "fired": iso(firing.fired),
        "ended": None if end is None else iso(end),
        "seconds": round((now if end is None else end) - firing.fired),
        "message": clean(alert.message),
    }


def _show(found: "Rules", output: Output) -> None:
    show([_rule(rule) for rule in found.rules.values()], output, COLUMNS, "all rules are switched off")


def _rule(rule: "Rule") -> dict[str, Any]:
    return {
        "rule": rule.name,
        "reading": "a condition" if rule.is_condition else rule.reading,
        "source": clean(rule.source),
        "levels": None if rule.is_condition else _levels(rule),
        "for": _span(rule.for_seconds),
        "keep_firing_for": _span(rule.keep_seconds),
        "no_data": None if rule.is_condition else rule.no_data,
        "cause": ", ".join(rule.causes) or None,
        "runbook": clean(rule.runbook),
    }


def _levels(rule: "Rule") -> str:
    sign = ">=" if rule.is_above else "<="
    return ", ".join(f"{level.name} {sign} {level.threshold:g}" for level in rule.levels)


def _span(seconds: float) -> str:
    """`30s`, `5m`, `2h`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
