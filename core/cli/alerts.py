"""`alerts`: what is wrong now and lately, following it, and seeing to it."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli import alert_orders, alert_rules, alert_trials, examples
from core.cli.alert_names import level_name, level_names, rule_names, rule_pattern, rules_in_force
from core.cli.context import data, settings
from core.cli.options import LookOutput, Output
from core.cli.stored import as_json, print_table

if TYPE_CHECKING:
    from core.alerting.listing import Wanted
    from core.events import AlertChanged

NOTHING = "no alerts"
alerts = typer.Typer(
    help="Open and recent alerts: what is wrong since when, what the engine does about it, and what to do next.",
    invoke_without_command=True,
    epilog=examples.epilog("alerts"),
)
alerts.command("ack")(alert_orders.ack)
alerts.command("unack")(alert_orders.unack)
alerts.command("silence")(alert_orders.silence)
alerts.command("unsilence")(alert_orders.unsilence)
alerts.command("silences")(alert_orders.silences)
alerts.command("rehearse")(alert_rules.rehearse)
alerts.command("test")(alert_trials.trials)
alerts.add_typer(alert_rules.rules, name="rules")


@alerts.callback()
def look(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="All that is kept: also what is long over, or pending.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", help="Also what was over since a UTC date or time, or so long ago.")
    ] = "24h",
    level: Annotated[
        str, typer.Option("--level", help="Of this level or graver.", autocompletion=level_names)
    ] = "INFO",
    source: Annotated[str, typer.Option("--source", help="Pattern of sources, as in spot_ohlcv/kraken*.")] = "*",
    rule: Annotated[str, typer.Option("--rule", help="Pattern of rules.", autocompletion=rule_names)] = "*",
    follow: Annotated[bool, typer.Option("--follow", help="Stream what happens, a line each, until Ctrl-C.")] = False,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Follow from the change with this id on.")] = None,
    bell: Annotated[bool, typer.Option("--bell", help="Ring the terminal's bell when an alert fires.")] = False,
    output: LookOutput = Output.text,
) -> None:
    from core.alerting.listing import Wanted  # noqa: PLC0415
    from core.errors import ConfigError  # noqa: PLC0415

    if context.invoked_subcommand is not None:
        return
    wanted = Wanted(level_name(level), rule_pattern(rule), source)
    if follow:
        from core.cli import alert_follow  # noqa: PLC0415

        alert_follow.follow(alert_follow.Asked(wanted, output, after, bell))
        return
    if after is not None or bell:
        raise ConfigError("--after and --bell go with --follow")
    _print(_found(wanted, None if everything else since), output)


def _found(wanted: "Wanted", since: str | None) -> "list[AlertChanged]":
    from core.alerting.listing import listed  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import parse_since  # noqa: PLC0415

    loaded, now = settings(announce=False), time.time()
    over_since = 0.0 if since is None else float(parse_since(since, now))
    with reading(loaded.database) as reader:
        kept, silences = reader.kept_alerts(over_since), reader.silences(now)
    found = listed(kept, silences, rules_in_force(loaded), now)
    return [each for each in found if wanted.has(each) and (since is None or each.is_open or each.state == "resolved")]


def _print(found: "list[AlertChanged]", output: Output) -> None:
    from core.cli import alert_lines, terminal  # noqa: PLC0415

    if as_json([alert_lines.as_object(alert) for alert in found], output):
        return
    width, colour = terminal.width(), terminal.has_colours()
    if not found:
        data(NOTHING)
    elif width is None:
        rows: list[dict[str, Any]] = alert_lines.rows(found)
        print_table([{name: row[name] for name in alert_lines.COLUMNS} for row in rows])
    else:
        for alert in found:
            for line in alert_lines.block(alert, width, colour=colour):
                data(line)
