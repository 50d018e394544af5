"""Examples of commands that look, repair and operate, for their `--help`."""

BARS = "spot_ohlcv/kraken/BTC-USD/1m"
EXAMPLES = {
    "status": ("", "--check --output json"),
    "describe": ("", "spot_ohlcv_1d", "gap --output json"),
    "changes": ("--since 7d", "--since 2025-06-01 --data_type spot_instruments --market kraken"),
    "restatements": ("--since 24h", f"--since 2025-06-01 --series {BARS}"),
    "alerts": (
        "",
        "--level ERROR --source 'spot_ohlcv/*' --since 7d",
        "--follow --bell",
        "--follow --output jsonl --after 1204",
    ),
    "alerts ack": ("run_failed:spot_ohlcv/1m --for 4h --comment 'the exchange is down'",),
    "alerts unack": ("run_failed:spot_ohlcv/1m",),
    "alerts silence": (
        "--rule data_freshness --source 'spot_ohlcv/kraken*' --for 2h --comment maintenance",
        "--level WARNING --for 1d --comment 'moving house'",
    ),
    "alerts silences": ("", "--all --output json"),
    "alerts unsilence": ("3f9c1a",),
    "alerts rules check": ("", "rules.toml"),
    "alerts rules list": ("", "--output json"),
    "alerts test": ("oncall", "rule_tests.toml"),
    "alerts rehearse": ("--since 30d --rules rules.toml",),
    "jobs list": ("--output json",),
    "series list": ("--data_type spot_ohlcv --market kraken", "--interval 1m --output json"),
    "series show": (BARS,),
    "series drop": (BARS, f"{BARS} --yes"),
    "series prune": ("--dry_run", "--yes"),
    "universe create": (
        "majors --pair_limit 20 --min_grade BB",
        "mine --series @pairs.txt --interval 1h",
        "perps --data_type futures_ohlcv,futures_funding_rate --pair_limit 10",
    ),
    "universe show": ("majors --dropped",),
    "universe diff": ("majors --pair_limit 20 --min_grade BB",),
    "universe add": (f"majors {BARS}",),
    "universe drop": (f"majors {BARS}",),
    "cache stats": ("", "--output json"),
    "cache clear": ("", "--data_type spot_instruments", "--pattern 'spot_instruments:kraken'", "--tag kraken"),
    "cache warm": ("", "--market kraken,coinbase --output json"),
    "quota": ("", "--output json"),
    "quota report": ("", "--by reason", "--month 2026-11 --by label --price 0.0001 --output csv"),
    "db info": ("", "--output json"),
    "db migrate": ("--dry_run", ""),
    "db backup": ("/backups/tapewatch.db --force",),
    "db roles": ("", "--reader analyst --writer ingest"),
    "db diff": (
        "sqlite:////data/tapewatch.db postgresql://db.example.com/market",
        "sqlite:///one.db sqlite:///other.db --only_values --market kraken --start 2025-06-01 --output jsonl",
    ),
    "db copy": ("sqlite:////data/tapewatch.db postgresql://db.example.com/market",),
    "gaps list": ("--market kraken --cause failed_fetch",),
    "gaps explain": (BARS, "--all --output json"),
    "gaps repair": ("--dry_run", f"{BARS} --max_requests 10", "--market kraken --all"),
    "quarantine list": ("--reason negative_amount --output json",),
    "quarantine show": ("17",),
    "quarantine retry": ("17 18", "--reason alignment"),
}


def epilog(command: str) -> str | None:
    """The examples of `command`, None when there are none."""
    if command not in EXAMPLES:
        return None
    lines = (f"  tapewatch {command} {words}".rstrip() for words in EXAMPLES[command])
    return "\n\n".join(["Examples:", *lines])
