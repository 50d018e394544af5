"""The options of every data type, as tables: what it takes, what a value may be. Nothing heavy is imported here.

Commands are made from these tables, and entries of batch files and of the control socket are checked
against them, so that an option exists for a data type everywhere or nowhere.
"""

COMMON = ("full_refresh", "parallel_workers", "enable_caching", "enable_monitoring", "label")
NAMED = ("interval", "pair_limit", "market", "instrument", "series", "universe", "include_inactive")
HISTORY = ("start", "end", "groups", "yes", "recheck", "repair", "order", "max_requests")
FUTURES = (*NAMED, "contract", "min_grade", *HISTORY, *COMMON)
INSTRUMENTS = ("market", "instrument", "include_inactive", *COMMON)

OPTIONS = {
    "spot_ohlcv": (*NAMED, "min_grade", *HISTORY, *COMMON),
    "futures_ohlcv": FUTURES,
    "futures_funding_rate": FUTURES,
    "futures_open_interest": FUTURES,
    "indices_ohlcv": (*NAMED, *HISTORY, *COMMON),
    "asset_metadata": ("pair_limit", *COMMON),
    "exchange_metadata": ("exchange_type", *COMMON),
    "spot_instruments": INSTRUMENTS,
    "futures_instruments": INSTRUMENTS,
}
ALIASES = {
    "asset_limit": "pair_limit",
    "exchange": "market",
    "exchanges": "market",
    "specific_market": "market",
    "instruments": "instrument",
    "symbol": "instrument",
    "specific_instrument": "instrument",
    "timeframe": "interval",
    "granularity": "interval",
}
# Said of a whole batch; in an entry they are accepted and change nothing.
IGNORED = ("description", "continue_on_error")
LISTS = ("market", "instrument", "series", "groups")
# What chooses series: a list of series, or a universe, takes the place of all the others.
SELECTION = ("pair_limit", "market", "instrument", "contract", "min_grade")

GRADES = ("AA", "A", "BB", "B", "C", "D", "E", "F")
CHOICES = {
    "interval": ("1d", "1h", "1m"),
    "order": ("newest", "oldest"),
    "contract": ("perpetual", "expiring"),
    "repair": ("open", "all"),
    "exchange_type": ("spot", "futures", "all"),
    "min_grade": GRADES,
}
RANGES = {
    "pair_limit": (1, 100_000),
    "recheck": (0, 1_000),
    "parallel_workers": (1, 64),
    "max_requests": (1, 10**9),
}


def known_keys(data_type: str) -> list[str]:
    """What an entry of a batch file may say about `data_type`, aliases included."""
    takes = OPTIONS[data_type]
    return ["data_type", *takes, *IGNORED, *(alias for alias, name in ALIASES.items() if name in takes)]
