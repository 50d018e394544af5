-- Step 2: all nine data types, and what explains and trusts a history.

-- The instrument, as its market's list tells it, whatever it is called.
ALTER TABLE series ADD COLUMN entity_id INTEGER;
ALTER TABLE series ADD COLUMN blocked TEXT;
ALTER TABLE series ADD COLUMN refreshed INTEGER;
ALTER TABLE series ADD COLUMN total INTEGER;
ALTER TABLE series ADD COLUMN pruned_before INTEGER;
ALTER TABLE series ADD COLUMN page_checked INTEGER;
ALTER TABLE series ADD COLUMN audit_from INTEGER;
ALTER TABLE series ADD COLUMN audited_at INTEGER;

-- Names that a series had before its instrument was renamed.
CREATE TABLE series_name (
    series_id INTEGER NOT NULL REFERENCES series (id),
    name TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (series_id, name)
) STRICT, WITHOUT ROWID;

-- What is known about why the slots of a gap are empty, as a JSON object.
ALTER TABLE gap ADD COLUMN evidence TEXT NOT NULL DEFAULT '{}';

-- Closed bars that were read so soon after their close that the vendor may still have changed them.
CREATE TABLE unsettled (
    series_id INTEGER NOT NULL REFERENCES series (id),
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > start),
    PRIMARY KEY (series_id, start)
) STRICT, WITHOUT ROWID;

-- Spans of stored bars that got further field groups `at` a later time: as-of questions need it.
CREATE TABLE widened (
    series_id INTEGER NOT NULL REFERENCES series (id),
    groups TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > start),
    at INTEGER NOT NULL,
    PRIMARY KEY (series_id, groups, start, at)
) STRICT, WITHOUT ROWID;

-- Windows that were given up; a row goes when its window is answered after all.
CREATE TABLE failed_fetch (
    series_id INTEGER NOT NULL REFERENCES series (id),
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > start),
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    sightings INTEGER NOT NULL DEFAULT 1,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (series_id, start)
) STRICT, WITHOUT ROWID;

-- When a quarantined row was accepted after all.
ALTER TABLE quarantine ADD COLUMN accepted INTEGER;

CREATE INDEX restatement_seen ON restatement (seen_at);

-- What the quality checks found: bars that are stored, yet suspect.
CREATE TABLE finding (
    series_id INTEGER NOT NULL REFERENCES series (id),
    check_name TEXT NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL CHECK ("end" > start),
    level TEXT NOT NULL,
    detail TEXT NOT NULL,
    sightings INTEGER NOT NULL DEFAULT 1,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (series_id, check_name, start)
) STRICT, WITHOUT ROWID;

-- What changed in reference data; old and new are JSON values of `field`, null where there was none.
CREATE TABLE metadata_change (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    data_type TEXT NOT NULL,
    place TEXT NOT NULL,
    entity TEXT NOT NULL,
    entity_id INTEGER NOT NULL,
    change TEXT NOT NULL,
    field TEXT,
    old TEXT,
    new TEXT,
    at INTEGER NOT NULL,
    run_id TEXT NOT NULL
) STRICT;

CREATE INDEX metadata_change_at ON metadata_change (at);
CREATE INDEX metadata_change_entity ON metadata_change (data_type, entity_id);

-- Stored, dated lists of series: a listed one stays until it is dropped.
CREATE TABLE universe (
    name TEXT PRIMARY KEY,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE universe_series (
    universe TEXT NOT NULL REFERENCES universe (name),
    data_type TEXT NOT NULL,
    market TEXT NOT NULL,
    instrument TEXT NOT NULL,
    interval TEXT NOT NULL,
    added INTEGER NOT NULL,
    dropped INTEGER,
    PRIMARY KEY (universe, data_type, market, instrument, interval, added)
) STRICT, WITHOUT ROWID;

CREATE TABLE futures_funding_rate (
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
    known_at INTEGER,
    sent_at INTEGER NOT NULL,
    interval_ms INTEGER,
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
    total_funding_rate_updates INTEGER,
    PRIMARY KEY (series_id, ts)
) STRICT, WITHOUT ROWID;

CREATE VIEW futures_funding_rate_1d AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.interval_ms, r.open, r.high, r.low, r.close, r.first_message_timestamp, r.last_message_timestamp, r.first_message_value, r.high_message_value, r.high_message_timestamp, r.low_message_value, r.low_message_timestamp, r.last_message_value, r.total_funding_rate_updates
FROM series AS s JOIN futures_funding_rate AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_funding_rate' AND s.interval = '1d';

CREATE VIEW futures_funding_rate_1h AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.interval_ms, r.open, r.high, r.low, r.close, r.first_message_timestamp, r.last_message_timestamp, r.first_message_value, r.high_message_value, r.high_message_timestamp, r.low_message_value, r.low_message_timestamp, r.last_message_value, r.total_funding_rate_updates
FROM series AS s JOIN futures_funding_rate AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_funding_rate' AND s.interval = '1h';

CREATE VIEW futures_funding_rate_1m AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.interval_ms, r.open, r.high, r.low, r.close, r.first_message_timestamp, r.last_message_timestamp, r.first_message_value, r.high_message_value, r.high_message_timestamp, r.low_message_value, r.low_message_timestamp, r.last_message_value, r.total_funding_rate_updates
FROM series AS s JOIN futures_funding_rate AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_funding_rate' AND s.interval = '1m';

CREATE TABLE futures_open_interest (
    series_id INTEGER NOT NULL REFERENCES series (id),
    ts INTEGER NOT NULL,
    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),
    known_at INTEGER,
    sent_at INTEGER NOT NULL,
    open_settlement REAL,
    open_mark_price REAL,
    open_quote REAL,
    high_settlement REAL,
    high_settlement_mark_price REAL,
    high_mark_price REAL,
    high_mark_price_settlement REAL,
    high_quote REAL,
    high_quote_mark_price REAL,
    low_settlement REAL,
    low_settlement_mark_price REAL,
    low_mark_price REAL,
    low_mark_price_settlement REAL,
    low_quote REAL,
    low_quote_mark_price REAL,
    close_settlement REAL,
    close_mark_price REAL,
    close_quote REAL,
    first_message_timestamp INTEGER,
    first_message_settlement REAL,
    first_message_mark_price REAL,
    first_message_quote REAL,
    high_message_settlement REAL,
    high_message_settlement_mark_price REAL,
    high_message_settlement_timestamp INTEGER,
    high_message_mark_price REAL,
    high_message_mark_price_settlement REAL,
    high_message_mark_price_timestamp INTEGER,
    high_message_quote REAL,
    high_message_quote_mark_price REAL,
    high_message_quote_timestamp INTEGER,
    low_message_settlement REAL,
    low_message_settlement_mark_price REAL,
    low_message_settlement_timestamp INTEGER,
    low_message_mark_price REAL,
    low_message_mark_price_settlement REAL,
    low_message_mark_price_timestamp INTEGER,
    low_message_quote REAL,
    low_message_quote_mark_price REAL,
    low_message_quote_timestamp INTEGER,
    last_message_timestamp INTEGER,
    last_message_settlement REAL,
    last_message_mark_price REAL,
    last_message_quote REAL,
    total_open_interest_updates INTEGER,
    PRIMARY KEY (series_id, ts)
) STRICT, WITHOUT ROWID;

CREATE VIEW futures_open_interest_1d AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.close_settlement AS open_interest, r.close_quote AS open_interest_quote, r.open_settlement, r.open_mark_price, r.open_quote, r.high_settlement, r.high_settlement_mark_price, r.high_mark_price, r.high_mark_price_settlement, r.high_quote, r.high_quote_mark_price, r.low_settlement, r.low_settlement_mark_price, r.low_mark_price, r.low_mark_price_settlement, r.low_quote, r.low_quote_mark_price, r.close_settlement, r.close_mark_price, r.close_quote, r.first_message_timestamp, r.first_message_settlement, r.first_message_mark_price, r.first_message_quote, r.high_message_settlement, r.high_message_settlement_mark_price, r.high_message_settlement_timestamp, r.high_message_mark_price, r.high_message_mark_price_settlement, r.high_message_mark_price_timestamp, r.high_message_quote, r.high_message_quote_mark_price, r.high_message_quote_timestamp, r.low_message_settlement, r.low_message_settlement_mark_price, r.low_message_settlement_timestamp, r.low_message_mark_price, r.low_message_mark_price_settlement, r.low_message_mark_price_timestamp, r.low_message_quote, r.low_message_quote_mark_price, r.low_message_quote_timestamp, r.last_message_timestamp, r.last_message_settlement, r.last_message_mark_price, r.last_message_quote, r.total_open_interest_updates
FROM series AS s JOIN futures_open_interest AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_open_interest' AND s.interval = '1d';

CREATE VIEW futures_open_interest_1h AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.close_settlement AS open_interest, r.close_quote AS open_interest_quote, r.open_settlement, r.open_mark_price, r.open_quote, r.high_settlement, r.high_settlement_mark_price, r.high_mark_price, r.high_mark_price_settlement, r.high_quote, r.high_quote_mark_price, r.low_settlement, r.low_settlement_mark_price, r.low_mark_price, r.low_mark_price_settlement, r.low_quote, r.low_quote_mark_price, r.close_settlement, r.close_mark_price, r.close_quote, r.first_message_timestamp, r.first_message_settlement, r.first_message_mark_price, r.first_message_quote, r.high_message_settlement, r.high_message_settlement_mark_price, r.high_message_settlement_timestamp, r.high_message_mark_price, r.high_message_mark_price_settlement, r.high_message_mark_price_timestamp, r.high_message_quote, r.high_message_quote_mark_price, r.high_message_quote_timestamp, r.low_message_settlement, r.low_message_settlement_mark_price, r.low_message_settlement_timestamp, r.low_message_mark_price, r.low_message_mark_price_settlement, r.low_message_mark_price_timestamp, r.low_message_quote, r.low_message_quote_mark_price, r.low_message_quote_timestamp, r.last_message_timestamp, r.last_message_settlement, r.last_message_mark_price, r.last_message_quote, r.total_open_interest_updates
FROM series AS s JOIN futures_open_interest AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_open_interest' AND s.interval = '1h';

CREATE VIEW futures_open_interest_1m AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,
    r.closed, r.known_at, s.type, s.index_underlying, s.quote_currency, s.settlement_currency, s.contract_currency, s.denomination_type, s.index_underlying_id, s.quote_currency_id, s.settlement_currency_id, s.contract_currency_id, s.transform_function,
    r.close_settlement AS open_interest, r.close_quote AS open_interest_quote, r.open_settlement, r.open_mark_price, r.open_quote, r.high_settlement, r.high_settlement_mark_price, r.high_mark_price, r.high_mark_price_settlement, r.high_quote, r.high_quote_mark_price, r.low_settlement, r.low_settlement_mark_price, r.low_mark_price, r.low_mark_price_settlement, r.low_quote, r.low_quote_mark_price, r.close_settlement, r.close_mark_price, r.close_quote, r.first_message_timestamp, r.first_message_settlement, r.first_message_mark_price, r.first_message_quote, r.high_message_settlement, r.high_message_settlement_mark_price, r.high_message_settlement_timestamp, r.high_message_mark_price, r.high_message_mark_price_settlement, r.high_message_mark_price_timestamp, r.high_message_quote, r.high_message_quote_mark_price, r.high_message_quote_timestamp, r.low_message_settlement, r.low_message_settlement_mark_price, r.low_message_settlement_timestamp, r.low_message_mark_price, r.low_message_mark_price_settlement, r.low_message_mark_price_timestamp, r.low_message_quote, r.low_message_quote_mark_price, r.low_message_quote_timestamp, r.last_message_timestamp, r.last_message_settlement, r.last_message_mark_price, r.last_message_quote, r.total_open_interest_updates
FROM series AS s JOIN futures_open_interest AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_open_interest' AND s.interval = '1m';

-- Derived: the published rate at the end of each funding interval, from minutes where there are any, else hours.
CREATE VIEW futures_funding_payments AS
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts + 60 AS ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts + 60, 'unixepoch') AS time,
    r.close AS rate, r.interval_ms, '1m' AS sampled_from, 1 AS derived, r.known_at
FROM series AS s JOIN futures_funding_rate AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_funding_rate' AND s.interval = '1m' AND r.closed AND r.close IS NOT NULL
    AND (r.ts + 60) % (r.interval_ms / 1000) = 0
UNION ALL
SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts + 3600 AS ts,
    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts + 3600, 'unixepoch') AS time,
    r.close AS rate, r.interval_ms, '1h' AS sampled_from, 1 AS derived, r.known_at
FROM series AS s JOIN futures_funding_rate AS r ON r.series_id = s.id
WHERE s.data_type = 'futures_funding_rate' AND s.interval = '1h' AND r.closed AND r.close IS NOT NULL
    AND (r.ts + 3600) % (r.interval_ms / 1000) = 0
    AND NOT EXISTS (
        SELECT 1 FROM series AS m JOIN futures_funding_rate AS f ON f.series_id = m.id
        WHERE m.source = s.source AND m.data_type = s.data_type AND m.market = s.market
            AND m.instrument = s.instrument AND m.interval = '1m' AND f.ts = r.ts + 3540 AND f.closed
            AND f.close IS NOT NULL AND (f.ts + 60) % (f.interval_ms / 1000) = 0
    );

CREATE TABLE asset_metadata (
    entity_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    list_id INTEGER NOT NULL REFERENCES series (id),
    list_rank INTEGER NOT NULL,
    is_listed INTEGER NOT NULL CHECK (is_listed IN (0, 1)),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    type TEXT,
    id INTEGER,
    id_legacy INTEGER,
    id_parent_asset INTEGER,
    id_asset_issuer INTEGER,
    symbol TEXT,
    uri TEXT,
    is_public INTEGER,
    asset_type TEXT,
    index_market_name TEXT,
    asset_issuer_name TEXT,
    parent_asset_symbol TEXT,
    root_asset_id INTEGER,
    root_asset_symbol TEXT,
    root_asset_type TEXT,
    comment TEXT,
    assigned_to INTEGER,
    assigned_to_username TEXT,
    created_by INTEGER,
    created_by_username TEXT,
    updated_by INTEGER,
    updated_by_username TEXT,
    is_used_in_defi INTEGER,
    is_used_in_nft INTEGER,
    total_endpoints_ok INTEGER,
    total_endpoints_with_issues INTEGER,
    created_on INTEGER,
    updated_on INTEGER,
    public_notice TEXT,
    name TEXT,
    logo_url TEXT,
    launch_date INTEGER,
    previous_asset_symbols TEXT,
    asset_alternative_ids TEXT,
    asset_description_snippet TEXT,
    asset_decimal_points INTEGER,
    asset_status TEXT,
    iso_numeric_code TEXT,
    asset_symbol_glyph TEXT,
    is_excluded_from_price_toplist INTEGER,
    is_excluded_from_volume_toplist INTEGER,
    is_excluded_from_mkt_cap_toplist INTEGER,
    mkt_cap_exclusion_reason TEXT,
    asset_industries TEXT,
    consensus_mechanisms TEXT,
    consensus_algorithm_types TEXT,
    hashing_algorithm_types TEXT,
    reserves_breakdown TEXT,
    has_smart_contract_capabilities INTEGER,
    smart_contract_support_type TEXT,
    target_block_mint REAL,
    target_block_time REAL,
    last_block_number INTEGER,
    last_block_timestamp INTEGER,
    last_block_time REAL,
    last_block_size REAL,
    last_block_issuer TEXT,
    last_block_transaction_fee_total REAL,
    last_block_transaction_count INTEGER,
    last_block_hashes_per_second REAL,
    last_block_difficulty REAL,
    supported_standards TEXT,
    layer_two_solutions TEXT,
    privacy_solutions TEXT,
    website_url TEXT,
    blog_url TEXT,
    white_paper_url TEXT,
    index_methodology TEXT,
    index_factsheet TEXT,
    index_linked_products TEXT,
    prospectus TEXT,
    other_document_urls TEXT,
    explorer_addresses TEXT,
    rpc_operators TEXT,
    project_leaders TEXT,
    associated_contact_details TEXT,
    asset_custodians TEXT,
    asset_security_metrics TEXT,
    asset_dynamic_faqs TEXT,
    asset_description TEXT,
    asset_description_summary TEXT,
    supply_max REAL,
    supply_issued REAL,
    supply_total REAL,
    supply_circulating REAL,
    supply_future REAL,
    supply_locked REAL,
    supply_burnt REAL,
    supply_staked REAL,
    last_block_mint REAL,
    last_block_burn REAL,
    mkt_cap_penalty REAL,
    circulating_mkt_cap_usd REAL,
    total_mkt_cap_usd REAL,
    circulating_mkt_cap_conversion REAL,
    total_mkt_cap_conversion REAL,
    burn_addresses TEXT,
    locked_addresses TEXT,
    controlled_addresses TEXT,
    supported_platforms TEXT,
    seo_title TEXT,
    seo_description TEXT,
    open_graph_image_url TEXT,
    asset_description_extended_seo TEXT,
    code_repositories TEXT,
    subreddits TEXT,
    twitter_accounts TEXT,
    discord_servers TEXT,
    telegram_groups TEXT,
    other_social_networks TEXT,
    held_token_sale INTEGER,
    token_sales TEXT,
    held_equity_sale INTEGER,
    equity_sales TEXT,
    price_usd REAL,
    price_usd_source TEXT,
    price_usd_last_update_ts INTEGER,
    price_conversion_asset TEXT,
    price_conversion_rate REAL,
    price_conversion_value REAL,
    price_conversion_source TEXT,
    price_conversion_last_update_ts INTEGER,
    spot_moving_24_hour_quote_volume_top_tier_direct_usd REAL,
    spot_moving_24_hour_quote_volume_direct_usd REAL,
    spot_moving_24_hour_quote_volume_top_tier_usd REAL,
    spot_moving_24_hour_quote_volume_usd REAL,
    spot_moving_24_hour_quote_volume_top_tier_conversion REAL,
    spot_moving_24_hour_quote_volume_conversion REAL,
    spot_moving_7_day_quote_volume_top_tier_direct_usd REAL,
    spot_moving_7_day_quote_volume_direct_usd REAL,
    spot_moving_7_day_quote_volume_top_tier_usd REAL,
    spot_moving_7_day_quote_volume_usd REAL,
    spot_moving_7_day_quote_volume_top_tier_conversion REAL,
    spot_moving_7_day_quote_volume_conversion REAL,
    spot_moving_30_day_quote_volume_top_tier_direct_usd REAL,
    spot_moving_30_day_quote_volume_direct_usd REAL,
    spot_moving_30_day_quote_volume_top_tier_usd REAL,
    spot_moving_30_day_quote_volume_usd REAL,
    spot_moving_30_day_quote_volume_top_tier_conversion REAL,
    spot_moving_30_day_quote_volume_conversion REAL,
    spot_moving_24_hour_change_usd REAL,
    spot_moving_24_hour_change_percentage_usd REAL,
    spot_moving_24_hour_change_conversion REAL,
    spot_moving_24_hour_change_percentage_conversion REAL,
    spot_moving_7_day_change_usd REAL,
    spot_moving_7_day_change_percentage_usd REAL,
    spot_moving_7_day_change_conversion REAL,
    spot_moving_7_day_change_percentage_conversion REAL,
    spot_moving_30_day_change_usd REAL,
    spot_moving_30_day_change_percentage_usd REAL,
    spot_moving_30_day_change_conversion REAL,
    spot_moving_30_day_change_percentage_conversion REAL,
    toplist_base_rank TEXT
) STRICT;

CREATE INDEX asset_metadata_by_name ON asset_metadata (source, symbol);

CREATE TABLE exchange_metadata (
    entity_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    list_id INTEGER NOT NULL REFERENCES series (id),
    list_rank INTEGER NOT NULL,
    exchange_type TEXT NOT NULL,
    market TEXT NOT NULL,
    is_listed INTEGER NOT NULL CHECK (is_listed IN (0, 1)),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    type TEXT,
    exchange_status TEXT,
    id INTEGER,
    exchange_internal_name TEXT,
    uri TEXT,
    is_public INTEGER,
    exchange_suspension_reason TEXT,
    mapped_instruments_total INTEGER,
    unmapped_instruments_total INTEGER,
    instrument_status TEXT,
    total_trades_spot INTEGER,
    total_trades_futures INTEGER,
    total_open_interest_updates INTEGER,
    total_funding_rate_updates INTEGER,
    has_orderbook_l2_minute_snapshots_enabled INTEGER,
    created_on INTEGER,
    updated_on INTEGER,
    public_notice TEXT,
    trading_permanently_suspended_date INTEGER,
    name TEXT,
    logo_url TEXT,
    launch_date INTEGER,
    is_excluded_from_metrics_and_toplists INTEGER,
    has_spot_trading INTEGER,
    spot_trading_mechanisms TEXT,
    has_futures_trading INTEGER,
    has_perpetual_contracts INTEGER,
    funding_rate_settlement_intervals TEXT,
    has_calendar_contracts INTEGER,
    calendar_futures_expiry_intervals TEXT,
    futures_trading_mechanisms TEXT,
    futures_settlement_types TEXT,
    futures_denomination_types TEXT,
    has_index_publishing INTEGER,
    has_options_trading INTEGER,
    has_dex_trading INTEGER,
    controlled_addresses TEXT,
    exchange_alternative_ids TEXT,
    exchange_description_snippet TEXT,
    spot_trading_launch_date INTEGER,
    futures_trading_launch_date INTEGER,
    comment TEXT,
    assigned_to INTEGER,
    assigned_to_username TEXT,
    created_by INTEGER,
    created_by_username TEXT,
    updated_by INTEGER,
    updated_by_username TEXT,
    assigned_to_integration_main INTEGER,
    assigned_to_username_integration_main TEXT,
    assigned_to_integration_backup INTEGER,
    assigned_to_username_integration_backup TEXT,
    assigned_to_business_or_contract INTEGER,
    assigned_to_username_business_or_contract TEXT,
    support_contact_information TEXT,
    is_included_in_cadli INTEGER,
    is_hidden INTEGER,
    spot_api_access_permitted_roles TEXT,
    spot_integration_comments TEXT,
    spot_trades_integration_stage TEXT,
    spot_trades_integration_date INTEGER,
    has_spot_trades_polling INTEGER,
    has_spot_trades_polling_backfill INTEGER,
    has_spot_trades_streaming INTEGER,
    spot_order_book_integration_stage TEXT,
    spot_order_book_integration_date INTEGER,
    has_spot_order_book_polling INTEGER,
    has_spot_order_book_streaming INTEGER,
    futures_api_access_permitted_roles TEXT,
    futures_integration_comments TEXT,
    futures_trades_integration_stage TEXT,
    futures_trades_integration_date INTEGER,
    has_futures_trades_polling INTEGER,
    has_futures_trades_polling_backfill INTEGER,
    has_futures_trades_streaming INTEGER,
    futures_funding_rate_integration_stage TEXT,
    futures_funding_rate_integration_date INTEGER,
    has_futures_funding_rate_polling INTEGER,
    has_futures_funding_rate_polling_backfill INTEGER,
    has_futures_funding_rate_streaming INTEGER,
    futures_open_interest_integration_stage TEXT,
    futures_open_interest_integration_date INTEGER,
    has_futures_open_interest_polling INTEGER,
    has_futures_open_interest_polling_backfill INTEGER,
    has_futures_open_interest_streaming INTEGER,
    futures_index_integration_stage TEXT,
    futures_index_integration_date INTEGER,
    has_futures_index_polling INTEGER,
    has_futures_index_polling_backfill INTEGER,
    has_futures_index_streaming INTEGER,
    futures_order_book_integration_stage TEXT,
    futures_order_book_integration_date INTEGER,
    has_futures_order_book_polling INTEGER,
    has_futures_order_book_streaming INTEGER,
    website_url TEXT,
    blog_url TEXT,
    incorporation_document_url TEXT,
    other_document_urls TEXT,
    exchange_certifications TEXT,
    exchange_description TEXT,
    exchange_description_summary TEXT,
    ccdata_latest_spot_benchmark_score REAL,
    ccdata_latest_spot_benchmark_grade TEXT,
    ccdata_historical_spot_benchmark_reports TEXT
) STRICT;

CREATE INDEX exchange_metadata_by_name ON exchange_metadata (source, exchange_type, market);

CREATE TABLE spot_instruments (
    entity_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    list_id INTEGER NOT NULL REFERENCES series (id),
    list_rank INTEGER NOT NULL,
    market TEXT NOT NULL,
    instrument TEXT NOT NULL,
    is_listed INTEGER NOT NULL CHECK (is_listed IN (0, 1)),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    type TEXT,
    instrument_status TEXT,
    exchange_symbol TEXT,
    histo_shard TEXT,
    transform_function TEXT,
    mapping_created_on INTEGER,
    base TEXT,
    quote TEXT,
    base_id INTEGER,
    quote_id INTEGER,
    has_trades_spot INTEGER,
    first_trade_spot_timestamp INTEGER,
    last_trade_spot_timestamp INTEGER,
    total_trades_spot INTEGER,
    has_ob_l2_snapshots_spot INTEGER,
    first_ob_l2_snapshot_spot_timestamp INTEGER
) STRICT;

CREATE INDEX spot_instruments_by_name ON spot_instruments (source, market, instrument);

CREATE TABLE futures_instruments (
    entity_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    list_id INTEGER NOT NULL REFERENCES series (id),
    list_rank INTEGER NOT NULL,
    market TEXT NOT NULL,
    instrument TEXT NOT NULL,
    is_listed INTEGER NOT NULL CHECK (is_listed IN (0, 1)),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    type TEXT,
    instrument_status TEXT,
    exchange_symbol TEXT,
    histo_shard TEXT,
    transform_function TEXT,
    mapping_created_on INTEGER,
    index_underlying TEXT,
    quote_currency TEXT,
    settlement_currency TEXT,
    contract_currency TEXT,
    denomination_type TEXT,
    index_underlying_id INTEGER,
    quote_currency_id INTEGER,
    settlement_currency_id INTEGER,
    contract_currency_id INTEGER,
    has_trades_futures INTEGER,
    has_open_interest_updates INTEGER,
    has_funding_rate_updates INTEGER,
    first_trade_futures_timestamp INTEGER,
    first_open_interest_update_timestamp INTEGER,
    first_funding_rate_update_timestamp INTEGER,
    last_trade_futures_timestamp INTEGER,
    last_open_interest_update_timestamp INTEGER,
    last_funding_rate_update_timestamp INTEGER,
    total_trades_futures INTEGER,
    total_open_interest_updates INTEGER,
    total_funding_rate_updates INTEGER,
    contract_expiration_ts INTEGER
) STRICT;

CREATE INDEX futures_instruments_by_name ON futures_instruments (source, market, instrument);

CREATE TABLE index_instruments (
    entity_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    list_id INTEGER NOT NULL REFERENCES series (id),
    list_rank INTEGER NOT NULL,
    market TEXT NOT NULL,
    instrument TEXT NOT NULL,
    is_listed INTEGER NOT NULL CHECK (is_listed IN (0, 1)),
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    type TEXT,
    instrument_status TEXT,
    exchange_symbol TEXT,
    histo_shard TEXT,
    transform_function TEXT,
    mapping_created_on INTEGER,
    has_index_updates INTEGER,
    has_index_composition_updates INTEGER,
    first_index_update_timestamp INTEGER,
    first_index_composition_update_timestamp INTEGER,
    last_index_update_timestamp INTEGER,
    last_index_composition_update_timestamp INTEGER,
    total_index_updates INTEGER,
    total_index_composition_updates INTEGER,
    components TEXT,
    outlier_exclusion_percentage REAL,
    oldest_historical_day_data_timestamp INTEGER,
    oldest_historical_index_composition_update_timestamp INTEGER
) STRICT;

CREATE INDEX index_instruments_by_name ON index_instruments (source, market, instrument);
