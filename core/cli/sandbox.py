"""`tapewatch sandbox`: the vendor's API on this machine, with synthetic markets."""

import os
import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

  tapewatch sandbox --port 8750

  tapewatch sandbox --now 2025-06-01T12:00:00 --limits free --log calls.jsonl

  tapewatch sandbox --limits none --faults sample_configs/faults.json

  tapewatch sandbox --now 2025-06-05 --scenario sample_configs/scenario.json

  tapewatch sandbox --revisions 0.01 --skew 90

Faults are a list of rules. A rule meets calls by path and query (globs), by the vendor's time (since, until)
and by number (calls, every, from, to), and spoils their answers: status, body, headers, empty, short, drop, drop_ts,
drop_span, revise, damage, mutate, truncate, cut, delay, slow, reset.

  {"path": "/spot/*/minutes", "query": {"market": "krak*"}, "drop_span": {"from": "2025-06-01", "to": "2025-06-02"}}

  {"since": "2025-06-01T12:00", "until": "2025-06-01T13:00", "status": 503}

  {"path": "*/minutes", "damage": {"span": ["2025-06-01T07:00", "2025-06-01T07:01"], "field": "VOLUME", "factor": 1.5}}

A scenario is a list of dated events: list, delist, relist, status, rename, symbol, terms, reuse, vanish and appear of
spot, futures and index instruments, asset_status and asset_rename of assets, exchange_status of exchanges.

  {"at": "2025-06-03", "event": "rename", "kind": "spot", "market": "kraken", "instrument": "EOS-USD", "to": "A-USD"}

Revisions: that share of all bars of trades lacks some of its volume until up to --revise-up-to seconds
after its close.
"""


def sandbox(
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65_535)] = 0,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Which synthetic world to serve.")] = 7,
    now: Annotated[
        str | None,
        typer.Option(help="Freeze the data and the Date header at this UTC time (ISO).", metavar="ISO"),
    ] = None,
    latency: Annotated[int, typer.Option(help="Milliseconds every answer waits.", min=0, metavar="MS")] = 0,
    limits: Annotated[
        str,
        typer.Option(help="paid, free, none, or like second=20,minute=300,hour=3000,day=7500,month=11000."),
    ] = "paid",
    require_key: Annotated[
        str | None, typer.Option(help="Refuse requests without this API key.", metavar="KEY")
    ] = None,
    faults: Annotated[Path | None, typer.Option(help="Rules of faults to inject (JSON or TOML), see below.")] = None,
    scenario: Annotated[Path | None, typer.Option(help="Dated events of listings (JSON or TOML), see below.")] = None,
    revisions: Annotated[
        float, typer.Option(help="Share of bars that are revised after their close, see below.", min=0, max=1)
    ] = 0.0,
    revise_up_to: Annotated[
        int, typer.Option(help="Longest time from close to revision.", min=1, metavar="SECONDS")
    ] = 5_400,
    skew: Annotated[
        float, typer.Option(help="The vendor's clock is ahead of ours by this much.", metavar="SECONDS")
    ] = 0.0,
    replay: Annotated[Path | None, typer.Option(help="Serve recorded history pages of this directory.")] = None,
    log: Annotated[Path | None, typer.Option(help="Append one JSON line for every request.")] = None,
    until_eof: Annotated[
        bool, typer.Option("--until_eof", help="End when stdin ends: with the program that started this.", hidden=True)
    ] = False,
    canned: Annotated[bool, typer.Option("--canned", help="Serve ready-made pages, for benchmarks.")] = False,
) -> None:
    """Serve the vendor's API on this machine: synthetic markets, limits and faults, no key, no network.

    Prints one line with its address when ready, and ends on SIGTERM or Ctrl-C.
    """
    import asyncio  # noqa: PLC0415 - importing the command must stay cheap

    from core.errors import ConfigError  # noqa: PLC0415
    from core.sandbox.options import SandboxOptions, loopback, moment  # noqa: PLC0415
    from core.sandbox.quota import parse_limits  # noqa: PLC0415
    from core.sandbox.server import serve  # noqa: PLC0415

    try:
        options = SandboxOptions(
            host=loopback(host),
            port=port,
            seed=seed,
            now=None if now is None else moment(now),
            latency=latency / 1_000,
            limits=parse_limits(limits),
            require_key=require_key,
            faults=faults,
            scenario=scenario,
            revisions=revisions,
            revise_up_to=revise_up_to,
            skew=skew,
            replay=replay,
            log=log,
            canned=canned,
        )
        if until_eof:
            threading.Thread(target=_end_with_stdin, daemon=True).start()
        asyncio.run(serve(options, lambda url: _announce(url, seed)))
    except ConfigError as error:
        typer.echo(f"sandbox: {error}", err=True)
        raise typer.Exit(error.exit_code) from error


def _end_with_stdin() -> None:
    """SIGTERM to ourselves once whoever holds the other end of stdin is gone."""
    # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _announce(url: str, seed: int) -> None:
    print(f"sandbox ready at {url} seed={seed}", flush=True)  # noqa: T201 - stdout is this command's data
