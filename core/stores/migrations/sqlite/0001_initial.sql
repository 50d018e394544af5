-- Times are UTC epoch seconds unless said otherwise. STRICT tables: no value changes its type in silence.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    data_type TEXT NOT NULL,
    market TEXT NOT NULL,
    instrument TEXT NOT NULL,
    interval TEXT NOT NULL,
    exchange_symbol TEXT,
    history_start INTEGER,
    first_bar INTEGER,
    last_bar INTEGER,
    rows INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    type TEXT,
    base TEXT,
    quote TEXT,
    base_id INTEGER,
    quote_id INTEGER,
    transform_function TEXT,
    index_underlying TEXT,
    quote_currency TEXT,
    settlement_currency TEXT,
    contract_currency TEXT,
    denomination_type TEXT,
    index_underlying_id INTEGER,
    quote_currency_id INTEGER,
    settlement_currency_id INTEGER,
    contract_currency_id INTEGER,
    UNIQUE (source, data_type, market, instrument, interval)
) STRICT;

CREATE INDEX series_exchange_symbol ON series (source, data_type, market, exchange_symbol, interval);

-- Which spans were asked for and answered, with which field groups (comma separated).
CREATE TABLE coverage (
    series_id INTEGER NOT NULL REFERENCES series (id),
    groups TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > start),
    PRIMARY KEY (series_id, groups, start)
) STRICT, WITHOUT ROWID;

-- Spans that were answered without a usable row.
CREATE TABLE gap (
    series_id INTEGER NOT NULL REFERENCES series (id),
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > start),
    cause TEXT NOT NULL,
    sightings INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    next_check INTEGER NOT NULL,
    PRIMARY KEY (series_id, start)
) STRICT, WITHOUT ROWID;

-- Rows and whole answers that could not be used; `start` is the bar's or the window's start.
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series (id),
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    raw TEXT NOT NULL,
    run_id TEXT NOT NULL,
    sightings INTEGER NOT NULL DEFAULT 1,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    UNIQUE (series_id, start, reason, raw)
) STRICT;

-- Closed bars that the vendor changed; old and new are JSON objects of the columns that differ.
CREATE TABLE restatement (
    id INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    old TEXT NOT NULL,
    new TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    run_id TEXT NOT NULL
) STRICT;

CREATE INDEX restatement_series ON restatement (series_id, ts);

CREATE TABLE run (
    run_id TEXT PRIMARY KEY,
    engine TEXT NOT NULL,
    data_type TEXT NOT NULL,
    interval TEXT NOT NULL,
    label TEXT NOT NULL,
    state TEXT NOT NULL,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    summary TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX run_created ON run (created);

CREATE TABLE run_series (
    run_id TEXT NOT NULL REFERENCES run (run_id),
    series TEXT NOT NULL,
    state TEXT NOT NULL,
    windows_done INTEGER NOT NULL,
    windows_total INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (run_id, series)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert (
    alert TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    level TEXT NOT NULL,
    state TEXT NOT NULL,
    since REAL NOT NULL,
    changed REAL NOT NULL,
    message TEXT NOT NULL,
    source TEXT NOT NULL,
    count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE spot_ohlcv (
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
    known_at INTEGER,
    sent_at INTEGER NOT NULL,
    open REAL,
    high REAL,
    low REAL,
    close REAL,
    first_trade_timestamp INTEGER,
    last_trade_timestamp INTEGER,
    first_trade_price REAL,
    high_trade_price REAL,
    high_trade_timestamp INTEGER,
    low_trade_price REAL,
    low_trade_timestamp INTEGER,
    last_trade_price REAL,
    total_trades INTEGER,
    total_trades_buy INTEGER,
    total_trades_sell INTEGER,
    total_trades_unknown INTEGER,
    volume REAL,
    quote_volume REAL,
    volume_buy REAL,
    quote_volume_buy REAL,
    volume_sell REAL,
    quote_volume_sell REAL,
    volume_unknown REAL,
    quote_volume_unknown REAL,
    PRIMARY KEY (series_id, ts)
) STRICT, WITHOUT ROWID;

CREATE VIEW spot_ohlcv_1d AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.base, s.quote, s.base_id, s.quote_id, s.transform_function,
    r.open, r.high, r.low, r.close, r.first_trade_timestamp, r.last_trade_timestamp, r.first_trade_price, r.high_trade_price, r.high_trade_timestamp, r.low_trade_price, r.low_trade_timestamp, r.last_trade_price, r.total_trades, r.total_trades_buy, r.total_trades_sell, r.total_trades_unknown, r.volume, r.quote_volume, r.volume_buy, r.quote_volume_buy, r.volume_sell, r.quote_volume_sell, r.volume_unknown, r.quote_volume_unknown
FROM series AS s JOIN spot_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'spot_ohlcv' AND s.interval = '1d';

CREATE VIEW spot_ohlcv_1h AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.base, s.quote, s.base_id, s.quote_id, s.transform_function,
    r.open, r.high, r.low, r.close, r.first_trade_timestamp, r.last_trade_timestamp, r.first_trade_price, r.high_trade_price, r.high_trade_timestamp, r.low_trade_price, r.low_trade_timestamp, r.last_trade_price, r.total_trades, r.total_trades_buy, r.total_trades_sell, r.total_trades_unknown, r.volume, r.quote_volume, r.volume_buy, r.quote_volume_buy, r.volume_sell, r.quote_volume_sell, r.volume_unknown, r.quote_volume_unknown
FROM series AS s JOIN spot_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'spot_ohlcv' AND s.interval = '1h';

CREATE VIEW spot_ohlcv_1m AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.base, s.quote, s.base_id, s.quote_id, s.transform_function,
    r.open, r.high, r.low, r.close, r.first_trade_timestamp, r.last_trade_timestamp, r.first_trade_price, r.high_trade_price, r.high_trade_timestamp, r.low_trade_price, r.low_trade_timestamp, r.last_trade_price, r.total_trades, r.total_trades_buy, r.total_trades_sell, r.total_trades_unknown, r.volume, r.quote_volume, r.volume_buy, r.quote_volume_buy, r.volume_sell, r.quote_volume_sell, r.volume_unknown, r.quote_volume_unknown
FROM series AS s JOIN spot_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'spot_ohlcv' AND s.interval = '1m';

CREATE TABLE futures_ohlcv (
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
    known_at INTEGER,
    sent_at INTEGER NOT NULL,
    open REAL,
    high REAL,
    low REAL,
    close REAL,
    first_trade_timestamp INTEGER,
    last_trade_timestamp INTEGER,
    first_trade_price REAL,
    high_trade_price REAL,
    high_trade_timestamp INTEGER,
    low_trade_price REAL,
    low_trade_timestamp INTEGER,
    last_trade_price REAL,
    number_of_contracts REAL,
    total_trades INTEGER,
    total_trades_buy INTEGER,
    total_trades_sell INTEGER,
    total_trades_unknown INTEGER,
    volume REAL,
    quote_volume REAL,
    volume_buy REAL,
    quote_volume_buy REAL,
    volume_sell REAL,
    quote_volume_sell REAL,
    volume_unknown REAL,
    quote_volume_unknown REAL,
    PRIMARY KEY (series_id, ts)
) STRICT, WITHOUT ROWID;

CREATE VIEW futures_ohlcv_1d AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.open, r.high, r.low, r.close, r.first_trade_timestamp, r.last_trade_timestamp, r.first_trade_price, r.high_trade_price, r.high_trade_timestamp, r.low_trade_price, r.low_trade_timestamp, r.last_trade_price, r.number_of_contracts, r.total_trades, r.total_trades_buy, r.total_trades_sell, r.total_trades_unknown, r.volume, r.quote_volume, r.volume_buy, r.quote_volume_buy, r.volume_sell, r.quote_volume_sell, r.volume_unknown, r.quote_volume_unknown
FROM series AS s JOIN futures_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_ohlcv' AND s.interval = '1d';

CREATE VIEW futures_ohlcv_1h AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.open, r.high, r.low, r.close, r.first_trade_timestamp, r.last_trade_timestamp, r.first_trade_price, r.high_trade_price, r.high_trade_timestamp, r.low_trade_price, r.low_trade_timestamp, r.last_trade_price, r.number_of_contracts, r.total_trades, r.total_trades_buy, r.total_trades_sell, r.total_trades_unknown, r.volume, r.quote_volume, r.volume_buy, r.quote_volume_buy, r.volume_sell, r.quote_volume_sell, r.volume_unknown, r.quote_volume_unknown
FROM series AS s JOIN futures_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_ohlcv' AND s.interval = '1h';

CREATE VIEW futures_ohlcv_1m AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.open, r.high, r.low, r.close, r.first_trade_timestamp, r.last_trade_timestamp, r.first_trade_price, r.high_trade_price, r.high_trade_timestamp, r.low_trade_price, r.low_trade_timestamp, r.last_trade_price, r.number_of_contracts, r.total_trades, r.total_trades_buy, r.total_trades_sell, r.total_trades_unknown, r.volume, r.quote_volume, r.volume_buy, r.quote_volume_buy, r.volume_sell, r.quote_volume_sell, r.volume_unknown, r.quote_volume_unknown
FROM series AS s JOIN futures_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_ohlcv' AND s.interval = '1m';

CREATE TABLE indices_ohlcv (
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
    known_at INTEGER,
    sent_at INTEGER NOT NULL,
    open REAL,
    high REAL,
    low REAL,
    close REAL,
    first_message_timestamp INTEGER,
    last_message_timestamp INTEGER,
    first_message_value REAL,
    high_message_value REAL,
    high_message_timestamp INTEGER,
    low_message_value REAL,
    low_message_timestamp INTEGER,
    last_message_value REAL,
    volume REAL,
    quote_volume REAL,
    volume_top_tier REAL,
    quote_volume_top_tier REAL,
    volume_direct REAL,
    quote_volume_direct REAL,
    volume_top_tier_direct REAL,
    quote_volume_top_tier_direct REAL,
    total_index_updates INTEGER,
    PRIMARY KEY (series_id, ts)
) STRICT, WITHOUT ROWID;

CREATE VIEW indices_ohlcv_1d AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type,
    r.open, r.high, r.low, r.close, r.first_message_timestamp, r.last_message_timestamp, r.first_message_value, r.high_message_value, r.high_message_timestamp, r.low_message_value, r.low_message_timestamp, r.last_message_value, r.volume, r.quote_volume, r.volume_top_tier, r.quote_volume_top_tier, r.volume_direct, r.quote_volume_direct, r.volume_top_tier_direct, r.quote_volume_top_tier_direct, r.total_index_updates
FROM series AS s JOIN indices_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'indices_ohlcv' AND s.interval = '1d';

CREATE VIEW indices_ohlcv_1h AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type,
    r.open, r.high, r.low, r.close, r.first_message_timestamp, r.last_message_timestamp, r.first_message_value, r.high_message_value, r.high_message_timestamp, r.low_message_value, r.low_message_timestamp, r.last_message_value, r.volume, r.quote_volume, r.volume_top_tier, r.quote_volume_top_tier, r.volume_direct, r.quote_volume_direct, r.volume_top_tier_direct, r.quote_volume_top_tier_direct, r.total_index_updates
FROM series AS s JOIN indices_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'indices_ohlcv' AND s.interval = '1h';

CREATE VIEW indices_ohlcv_1m AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type,
    r.open, r.high, r.low, r.close, r.first_message_timestamp, r.last_message_timestamp, r.first_message_value, r.high_message_value, r.high_message_timestamp, r.low_message_value, r.low_message_timestamp, r.last_message_value, r.volume, r.quote_volume, r.volume_top_tier, r.quote_volume_top_tier, r.volume_direct, r.quote_volume_direct, r.volume_top_tier_direct, r.quote_volume_top_tier_direct, r.total_index_updates
FROM series AS s JOIN indices_ohlcv AS r ON r.series_id = s.id
WHERE s.data_type = 'indices_ohlcv' AND s.interval = '1m';
