"""Reference data: what assets, exchanges and instruments are. The metadata data types, as values.

One table a data type holds an entity a row, with every field of the contract as a column (sections 1.13
to 1.15); lists and objects are kept as JSON text. A field whose group is `MAPPING` comes from the entry's
INSTRUMENT_MAPPING. What moves by itself (counters, last trades, prices) is refreshed in place; any other
difference is a change worth a dated row. Instruments of index families are kept the same way, without
being a data type of their own: selections need them.
"""

from dataclasses import dataclass

from core.records import Column, columns_of

_INSTRUMENT = (
    *columns_of("ENTRY", str, "type instrument_status exchange_symbol histo_shard"),
    *columns_of("MAPPING", str, "transform_function"),
    *columns_of("MAPPING", int, "mapping_created_on"),
)
SPOT_INSTRUMENT = (
    *_INSTRUMENT,
    *columns_of("MAPPING", str, "base quote"),
    *columns_of("MAPPING", int, "base_id quote_id"),
    *columns_of("ENTRY", bool, "has_trades_spot"),
    *columns_of("ENTRY", int, "first_trade_spot_timestamp last_trade_spot_timestamp total_trades_spot"),
    *columns_of("ENTRY", bool, "has_ob_l2_snapshots_spot"),
    *columns_of("ENTRY", int, "first_ob_l2_snapshot_spot_timestamp"),
)
FUTURES_INSTRUMENT = (
    *_INSTRUMENT,
    *columns_of(
        "MAPPING", str, "index_underlying quote_currency settlement_currency contract_currency denomination_type"
    ),
    *columns_of("MAPPING", int, "index_underlying_id quote_currency_id settlement_currency_id contract_currency_id"),
    *columns_of("ENTRY", bool, "has_trades_futures has_open_interest_updates has_funding_rate_updates"),
    *columns_of(
        "ENTRY",
        int,
        "first_trade_futures_timestamp first_open_interest_update_timestamp first_funding_rate_update_timestamp "
        "last_trade_futures_timestamp last_open_interest_update_timestamp last_funding_rate_update_timestamp "
        "total_trades_futures total_open_interest_updates total_funding_rate_updates contract_expiration_ts",
    ),
)

_EXCHANGE_FLAGS = "has_{0}_polling has_{0}_polling_backfill has_{0}_streaming"
_BOOK_FLAGS = "has_{0}_order_book_polling has_{0}_order_book_streaming"


def _integration(family: str, *feeds: str) -> tuple[Column, ...]:
    """How the vendor takes each feed of a family in: stage, since when, by which means."""
    group = f"INTEGRATION_{family.upper()}"
    columns = [
        *columns_of(group, list, f"{family}_api_access_permitted_roles"),
        *columns_of(group, str, f"{family}_integration_comments"),
    ]
    for feed in (f"{family}_{name}" for name in feeds):
        columns += columns_of(group, str, f"{feed}_integration_stage")
        columns += columns_of(group, int, f"{feed}_integration_date")
        columns += columns_of(group, bool, _EXCHANGE_FLAGS.format(feed))
    book = f"{family}_order_book_integration"
    columns += columns_of(group, str, f"{book}_stage")
    columns += columns_of(group, int, f"{book}_date")
    return (*columns, *columns_of(group, bool, _BOOK_FLAGS.format(family)))


EXCHANGE = (
    *columns_of("ID", str, "type exchange_status"),
    *columns_of("ID", int, "id"),
    *columns_of("ID", str, "exchange_internal_name uri"),
    *columns_of("ID", bool, "is_public"),
    *columns_of("ID", str, "exchange_suspension_reason"),
    *columns_of("INSTRUMENT_SUMMARY", int, "mapped_instruments_total unmapped_instruments_total"),
    *columns_of("INSTRUMENT_SUMMARY", list, "instrument_status"),
    *columns_of(
        "INSTRUMENT_SUMMARY",
        int,
        "total_trades_spot total_trades_futures total_open_interest_updates total_funding_rate_updates",
    ),
    *columns_of("BASIC", bool, "has_orderbook_l2_minute_snapshots_enabled"),
    *columns_of("BASIC", int, "created_on updated_on"),
    *columns_of("BASIC", str, "public_notice"),
    *columns_of("BASIC", int, "trading_permanently_suspended_date"),
    *columns_of("BASIC", str, "name logo_url"),
    *columns_of("BASIC", int, "launch_date"),
    *columns_of("BASIC", bool, "is_excluded_from_metrics_and_toplists has_spot_trading"),
    *columns_of("BASIC", list, "spot_trading_mechanisms"),
    *columns_of("BASIC", bool, "has_futures_trading has_perpetual_contracts"),
    *columns_of("BASIC", list, "funding_rate_settlement_intervals"),
    *columns_of("BASIC", bool, "has_calendar_contracts"),
    *columns_of(
        "BASIC",
        list,
        "calendar_futures_expiry_intervals futures_trading_mechanisms futures_settlement_types "
        "futures_denomination_types",
    ),
    *columns_of("BASIC", bool, "has_index_publishing has_options_trading has_dex_trading"),
    *columns_of("BASIC", list, "controlled_addresses exchange_alternative_ids"),
    *columns_of("BASIC", str, "exchange_description_snippet"),
    *columns_of("BASIC", int, "spot_trading_launch_date futures_trading_launch_date"),
    *columns_of("INTERNAL", str, "comment"),
    *columns_of("INTERNAL", int, "assigned_to"),
    *columns_of("INTERNAL", str, "assigned_to_username"),
    *columns_of("INTERNAL", int, "created_by"),
    *columns_of("INTERNAL", str, "created_by_username"),
    *columns_of("INTERNAL", int, "updated_by"),
    *columns_of("INTERNAL", str, "updated_by_username"),
    *columns_of("INTERNAL", int, "assigned_to_integration_main"),
    *columns_of("INTERNAL", str, "assigned_to_username_integration_main"),
    *columns_of("INTERNAL", int, "assigned_to_integration_backup"),
    *columns_of("INTERNAL", str, "assigned_to_username_integration_backup"),
    *columns_of("INTERNAL", int, "assigned_to_business_or_contract"),
    *columns_of("INTERNAL", str, "assigned_to_username_business_or_contract"),
    *columns_of("INTERNAL", list, "support_contact_information"),
    *columns_of("INTERNAL", bool, "is_included_in_cadli is_hidden"),
    *_integration("spot", "trades"),
    *_integration("futures", "trades", "funding_rate", "open_interest", "index"),
    *columns_of("RESOURCE_LINKS", str, "website_url blog_url incorporation_document_url"),
    *columns_of("RESOURCE_LINKS", list, "other_document_urls exchange_certifications"),
    *columns_of("DESCRIPTION", str, "exchange_description"),
    *columns_of("DESCRIPTION_SUMMARY", str, "exchange_description_summary"),
    *columns_of("BENCHMARK", float, "ccdata_latest_spot_benchmark_score"),
    *columns_of("BENCHMARK", str, "ccdata_latest_spot_benchmark_grade"),
    *columns_of("BENCHMARK", list, "ccdata_historical_spot_benchmark_reports"),
)

_SPANS = ("24_hour", "7_day", "30_day")
_VOLUMES = "top_tier_direct_usd direct_usd top_tier_usd usd top_tier_conversion conversion".split()
_CHANGES = "change_usd change_percentage_usd change_conversion change_percentage_conversion".split()

ASSET = (
    *columns_of("ID", str, "type"),
    *columns_of("ID", int, "id id_legacy id_parent_asset id_asset_issuer"),
    *columns_of("ID", str, "symbol uri"),
    *columns_of("ID", bool, "is_public"),
    *columns_of("ID", str, "asset_type index_market_name asset_issuer_name parent_asset_symbol"),
    *columns_of("ID", int, "root_asset_id"),
    *columns_of("ID", str, "root_asset_symbol root_asset_type"),
    *columns_of("INTERNAL", str, "comment"),
    *columns_of("INTERNAL", int, "assigned_to"),
    *columns_of("INTERNAL", str, "assigned_to_username"),
    *columns_of("INTERNAL", int, "created_by"),
    *columns_of("INTERNAL", str, "created_by_username"),
    *columns_of("INTERNAL", int, "updated_by"),
    *columns_of("INTERNAL", str, "updated_by_username"),
    *columns_of("INTERNAL", bool, "is_used_in_defi is_used_in_nft"),
    *columns_of("INTERNAL", int, "total_endpoints_ok total_endpoints_with_issues"),
    *columns_of("BASIC", int, "created_on updated_on"),
    *columns_of("BASIC", str, "public_notice name logo_url"),
    *columns_of("BASIC", int, "launch_date"),
    *columns_of("BASIC", list, "previous_asset_symbols asset_alternative_ids"),
    *columns_of("BASIC", str, "asset_description_snippet"),
    *columns_of("BASIC", int, "asset_decimal_points"),
    *columns_of("CLASSIFICATION", str, "asset_status iso_numeric_code asset_symbol_glyph"),
    *columns_of(
        "CLASSIFICATION",
        bool,
        "is_excluded_from_price_toplist is_excluded_from_volume_toplist is_excluded_from_mkt_cap_toplist",
    ),
    *columns_of("CLASSIFICATION", str, "mkt_cap_exclusion_reason"),
    *columns_of(
        "CLASSIFICATION",
        list,
        "asset_industries consensus_mechanisms consensus_algorithm_types hashing_algorithm_types",
    ),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", list, "reserves_breakdown"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", bool, "has_smart_contract_capabilities"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", str, "smart_contract_support_type"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", float, "target_block_mint target_block_time"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", int, "last_block_number last_block_timestamp"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", float, "last_block_time last_block_size"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", str, "last_block_issuer"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", float, "last_block_transaction_fee_total"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", int, "last_block_transaction_count"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", float, "last_block_hashes_per_second last_block_difficulty"),
    *columns_of("ASSET_TYPE_SPECIFIC_METRICS", list, "supported_standards layer_two_solutions privacy_solutions"),
    *columns_of("RESOURCE_LINKS", str, "website_url blog_url white_paper_url index_methodology index_factsheet"),
    *columns_of("RESOURCE_LINKS", list, "index_linked_products"),
    *columns_of("RESOURCE_LINKS", str, "prospectus"),
    *columns_of("RESOURCE_LINKS", list, "other_document_urls explorer_addresses rpc_operators"),
    *columns_of("CONTACT", list, "project_leaders associated_contact_details"),
    *columns_of("CUSTODIANS", list, "asset_custodians"),
    *columns_of("SECURITY_METRICS", list, "asset_security_metrics"),
    *columns_of("AI_INSIGHTS", list, "asset_dynamic_faqs"),
    *columns_of("DESCRIPTION", str, "asset_description"),
    *columns_of("DESCRIPTION_SUMMARY", str, "asset_description_summary"),
    *columns_of(
        "SUPPLY",
        float,
        "supply_max supply_issued supply_total supply_circulating supply_future supply_locked supply_burnt "
        "supply_staked last_block_mint last_block_burn",
    ),
    *columns_of(
        "MKT_CAP",
        float,
        "mkt_cap_penalty circulating_mkt_cap_usd total_mkt_cap_usd circulating_mkt_cap_conversion "
        "total_mkt_cap_conversion",
    ),
    *columns_of("SUPPLY_ADDRESSES", list, "burn_addresses locked_addresses"),
    *columns_of("CONTROLLED_ADDRESSES", list, "controlled_addresses"),
    *columns_of("SUPPORTED_PLATFORMS", list, "supported_platforms"),
    *columns_of("SEO", str, "seo_title seo_description open_graph_image_url asset_description_extended_seo"),
    *columns_of(
        "SOCIAL",
        list,
        "code_repositories subreddits twitter_accounts discord_servers telegram_groups other_social_networks",
    ),
    *columns_of("TOKEN_SALE", bool, "held_token_sale"),
    *columns_of("TOKEN_SALE", list, "token_sales"),
    *columns_of("EQUITY_SALE", bool, "held_equity_sale"),
    *columns_of("EQUITY_SALE", list, "equity_sales"),
    *columns_of("PRICE", float, "price_usd"),
    *columns_of("PRICE", str, "price_usd_source"),
    *columns_of("PRICE", int, "price_usd_last_update_ts"),
    *columns_of("PRICE", list, "price_conversion_asset"),
    *columns_of("PRICE", float, "price_conversion_rate price_conversion_value"),
    *columns_of("PRICE", str, "price_conversion_source"),
    *columns_of("PRICE", int, "price_conversion_last_update_ts"),
    *columns_of(
        "VOLUME",
        float,
        " ".join(f"spot_moving_{span}_quote_volume_{kind}" for span in _SPANS for kind in _VOLUMES),
    ),
    *columns_of("CHANGE", float, " ".join(f"spot_moving_{span}_{kind}" for span in _SPANS for kind in _CHANGES)),
    *columns_of("TOPLIST_RANK", list, "toplist_base_rank"),
)

INDEX_INSTRUMENT = (
    *_INSTRUMENT,
    *columns_of("ENTRY", bool, "has_index_updates has_index_composition_updates"),
    *columns_of(
        "ENTRY",
        int,
        "first_index_update_timestamp first_index_composition_update_timestamp last_index_update_timestamp "
        "last_index_composition_update_timestamp total_index_updates total_index_composition_updates",
    ),
    *columns_of("ENTRY", list, "components"),
    *columns_of("ENTRY", float, "outlier_exclusion_percentage"),
    *columns_of(
        "ENTRY",
        int,
        "oldest_historical_day_data_timestamp oldest_historical_index_composition_update_timestamp",
    ),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """One kind of list.

    `kinds` are the families whose series a row tells about; `place` and `entity` the columns that say where and
    what a row is, `identity` those with asset ids that no renaming changes, `tenor` those that tell
    contracts of the same assets apart, `symbol` the exchange's own name, `status` whether it is alive.
    `moving` columns are refreshed without counting as a change. A `paged` list is asked for a page at a
    time, and what is missing from a page is not gone.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    place: str
    entity: str
    columns: tuple[Column, ...]
    moving: frozenset[str]
    identity: tuple[str, ...] = ()
    tenor: tuple[str, ...] = ()
    symbol: str | None = None
    status: str = "instrument_status"
    markets: tuple[str, ...] = ()
    paged: bool = False

    @property
    def tells_names(self) -> bool:
        """Whether its entities are what series are named after."""
        return self.entity == "instrument"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of a row of the list, what it is about first."""
        return tuple(dict.fromkeys((self.entity, *(column.name for column in self.columns))))


def _moving(columns: tuple[Column, ...], groups: frozenset[str], starts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(column.name for column in columns if column.group in groups or column.name.startswith(starts))


_COUNTERS = ("total_", "last_", "updated_")
TOP_LIST = "top"
TOP_LIST_PAGE = 100

ASSET_METADATA = Reference(
    name="asset_metadata",
    title="Asset metadata",
    kinds=("index",),
    place="source",
    entity="symbol",
    columns=ASSET,
    moving=_moving(
        ASSET,
        frozenset(
            "SUPPLY MKT_CAP PRICE VOLUME CHANGE TOPLIST_RANK INTERNAL SOCIAL SECURITY_METRICS AI_INSIGHTS SEO".split()
        ),
        (*_COUNTERS, "reserves_"),
    ),
    identity=("id",),
    status="asset_status",
    paged=True,
)
EXCHANGE_METADATA = Reference(
    name="exchange_metadata",
    title="Exchange metadata",
    kinds=("spot", "futures"),
    place="exchange_type",
    entity="market",
    columns=EXCHANGE,
    moving=_moving(EXCHANGE, frozenset({"INSTRUMENT_SUMMARY", "INTERNAL"}), _COUNTERS),
    identity=("id",),
    status="exchange_status",
)
SPOT_INSTRUMENTS = Reference(
    name="spot_instruments",
    title="Spot instruments",
    kinds=("spot",),
    place="market",
    entity="instrument",
    columns=SPOT_INSTRUMENT,
    moving=_moving(SPOT_INSTRUMENT, frozenset(), _COUNTERS),
    identity=("base_id", "quote_id"),
    symbol="exchange_symbol",
    markets=("coinbase", "binance", "kraken"),
)
FUTURES_INSTRUMENTS = Reference(
    name="futures_instruments",
    title="Futures instruments",
    kinds=("futures",),
    place="market",
    entity="instrument",
    columns=FUTURES_INSTRUMENT,
    moving=_moving(FUTURES_INSTRUMENT, frozenset(), _COUNTERS),
    identity=("index_underlying_id", "quote_currency_id"),
    # An exchange may write every quarter's contract with one name of its own.
    tenor=("denomination_type", "contract_expiration_ts", "settlement_currency_id"),
    symbol="exchange_symbol",
    markets=("binance", "okex", "bybit"),
)
INDEX_INSTRUMENTS = Reference(
    name="index_instruments",
    title="Index instruments",
    kinds=("index",),
    place="market",
    entity="instrument",
    columns=INDEX_INSTRUMENT,
    moving=_moving(INDEX_INSTRUMENT, frozenset(), (*_COUNTERS, "components", "oldest_")),
    symbol="exchange_symbol",
    markets=("cadli",),
)
REFERENCES = {
    reference.name: reference
    for reference in (ASSET_METADATA, EXCHANGE_METADATA, SPOT_INSTRUMENTS, FUTURES_INSTRUMENTS)
}
LISTS = {**REFERENCES, INDEX_INSTRUMENTS.name: INDEX_INSTRUMENTS}
INSTRUMENT_LISTS = {"spot": SPOT_INSTRUMENTS, "futures": FUTURES_INSTRUMENTS, "index": INDEX_INSTRUMENTS}
