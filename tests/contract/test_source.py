"""The CoinDesk client over real sockets: against the sandbox, and against a server that breaks the protocol.

Every status has its error class, every bound its error, and the key stays in its header and with its origin.
"""

import asyncio
import gzip
import json
import resource
import time
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.datasets import DATASETS, SPOT_OHLCV, SeriesKey
from core.errors import (
    ConfigError,
    Malformed,
    NothingBefore,
    RateLimited,
    Rejected,
    SourceError,
    Transient,
    Unauthorized,
)
from core.records import in_groups, values_of
from core.sandbox.options import SandboxOptions, moment
from core.sandbox.server import running
from core.sources import AssetPage, Instrument, Source, open_source
from core.sources.coindesk import CoinDeskSource
from core.sources.http import HttpOptions
from core.sources.listing import asset_page, instrument_of
from core.windows import DAY, HOUR, Window
from tests.fakes import RawServer, answering, dripping, flooding, resetting, saying, silent

NOW = moment("2025-06-15T12:34:56")
TODAY = moment("2025-06-15")
BTC = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1d")
WEEK = Window(TODAY - 7 * 86_400, TODAY)
GROUPS = SPOT_OHLCV.default_groups
KEY = "canary-key-7f3a"
QUICK = HttpOptions(connect_timeout=0.5, total_timeout=0.5)
PATIENT = HttpOptions(total_timeout=20.0)


class Ears:
    """What a source tells of its answers."""

    def __init__(self) -> None:
        self.heard: list[tuple[Mapping[str, str], bool]] = []

    def __call__(self, headers: Mapping[str, str], *, served: bool) -> None:
        self.heard.append((headers, served))


@asynccontextmanager
async def client(url: str, **options: Any) -> AsyncIterator[CoinDeskSource]:
    source = CoinDeskSource(url, **{"http": PATIENT, **options})
    try:
        yield source
    finally:
        await source.close()


@asynccontextmanager
async def sandbox(**options: Any) -> AsyncIterator[CoinDeskSource]:
    async with running(SandboxOptions(**{"now": NOW, **options})) as url, client(url) as source:
        yield source


def rules(path: Path, *found: dict[str, Any]) -> Path:
    file = path / "faults.json"
    file.write_text(json.dumps(found))
    return file


KRAKEN = SeriesKey("spot_instruments", "kraken")
TOP = SeriesKey("asset_metadata", "top", "1")


async def instruments(source: Source, key: SeriesKey) -> list[Instrument]:
    return [instrument_of(key.data_type, key.market, row) for row in (await source.listing(key)).rows]


async def top_assets(source: Source, page: int) -> AssetPage:
    listing = await source.listing(TOP._replace(instrument=str(page)))
    return asset_page(page, listing.rows, listing.total)


async def week(source: Source) -> Any:
    return await source.history(SPOT_OHLCV, BTC, WEEK, GROUPS)


# --- the sandbox


@pytest.mark.parametrize(
    ("name", "market", "instrument"),
    [
        ("spot_ohlcv", "kraken", "BTC-USD"),
        ("futures_ohlcv", "binance", "BTC-USDT-VANILLA-PERPETUAL"),
        ("indices_ohlcv", "cadli", "BTC-USD"),
    ],
)
@pytest.mark.parametrize("interval", ["1d", "1h", "1m"])
async def test_a_page_holds_exactly_the_bars_of_its_window(
    name: str, market: str, instrument: str, interval: str
) -> None:
    dataset = DATASETS[name]
    key = SeriesKey(name, market, instrument, interval)
    step = {"1d": 86_400, "1h": 3_600, "1m": 60}[interval]
    window = Window(TODAY - 30 * step, TODAY - 10 * step)
    async with sandbox() as source:
        page = await source.history(dataset, key, window, dataset.groups)
    assert [row.timestamp for row in page.rows] == list(range(window.start, window.end, step))
    assert page.rejected == []
    assert page.server_time == NOW
    assert {row.market for row in page.rows} == {market}
    for column in in_groups(dataset.columns, ("OHLC", "VOLUME")):
        assert getattr(page.rows[0], column.name) is not None
    constants = page.constants()
    assert {column.name for column in dataset.constants} <= set(constants)
    assert constants["exchange_symbol"]


async def test_only_the_groups_asked_for_travel() -> None:
    async with sandbox() as source:
        page = await source.history(SPOT_OHLCV, BTC, WEEK, ("ID", "MAPPING", "OHLC"))
    assert page.rows[0].open > 0
    assert not hasattr(page.rows[0], "volume")
    assert set(page.constants()) == {"exchange_symbol", "instrument", "type", "base", "quote"}


async def test_the_exchanges_own_name_finds_the_same_bars() -> None:
    async with sandbox() as source:
        mapped = await week(source)
        symbol = mapped.constants()["exchange_symbol"]
        own = await source.history(SPOT_OHLCV, BTC._replace(instrument=symbol), WEEK, GROUPS)
    assert values_of(own.rows) == values_of(mapped.rows)
    assert own.constants() == mapped.constants()
    assert own.constants()["instrument"] == "BTC-USD"


async def test_listings_and_ranking() -> None:
    async with sandbox() as source:
        spot = await instruments(source, KRAKEN)
        futures = await instruments(source, SeriesKey("futures_instruments", "binance"))
        first, far = await top_assets(source, 1), await top_assets(source, 99)
    by_name = {found.name: found for found in spot}
    bitcoin = by_name["BTC-USD"]
    assert (bitcoin.market, bitcoin.base, bitcoin.quote, bitcoin.is_active) == ("kraken", "BTC", "USD", True)
    since = bitcoin.history["trades"].first
    assert since is not None
    assert since < NOW
    assert (bitcoin.base_id, bitcoin.quote_id) == (1, 5)
    assert bitcoin.trades > 0
    assert any(not found.is_active for found in futures)
    perpetuals = [found for found in futures if found.perpetual]
    assert perpetuals
    assert {found.perpetual for found in futures} == {True, False}
    assert first.assets[0].symbol == "BTC"
    assert first.assets[0].volume_30d_usd > first.assets[1].volume_30d_usd
    assert (far.assets, far.is_last) == ([], True)


async def test_the_vendor_tells_the_time_and_who_it_is() -> None:
    ears = Ears()
    async with running(SandboxOptions(now=NOW, seed=5)) as url, client(url, observe=ears) as source:
        assert source.origin == ""
        assert abs(source.now() - time.time()) < 5
        await week(source)
        assert source.origin == "sandbox:5"
        assert 0 <= source.now() - NOW < 5
        assert source.calls == 1
    [(headers, served)] = ears.heard
    assert ("window=86400" in headers["x-ratelimit-remaining-all"], served) == (True, True)


async def test_an_answer_of_the_vendors_own_is_its_origin() -> None:
    async with RawServer(answering(X_RateLimit_Limit="9, 9;window=60")) as server, client(server.url) as source:
        await week(source)
        assert source.origin == "coindesk"


async def test_a_proxys_page_says_nothing_about_who_answers() -> None:
    async with RawServer(answering(b"<html>", "502 Bad Gateway")) as server, client(server.url) as source:
        with pytest.raises(Transient):
            await week(source)
        assert source.origin == ""


async def test_before_the_history_the_first_bar_is_named() -> None:
    async with sandbox() as source:
        bitcoin = {found.name: found for found in await instruments(source, KRAKEN)}["BTC-USD"]
        since = bitcoin.history["trades"].first
        assert since is not None
        first = DAY.floor(since)
        before = Window(first - 10 * 86_400, first)
        with pytest.raises(NothingBefore) as caught:
            await source.history(SPOT_OHLCV, BTC, before, GROUPS)
        assert DAY.floor(caught.value.first or 0) == first
        head = await source.history(SPOT_OHLCV, BTC, Window(first - 3 * 86_400, first + 2 * 86_400), GROUPS)
    assert [row.timestamp for row in head.rows] == [first, first + 86_400]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (BTC._replace(instrument="NOPE-USD"), "kraken NOPE-USD: not found: "),
        (BTC._replace(market="nowhere"), "nowhere BTC-USD: not found: "),
    ],
)
async def test_what_does_not_exist_is_refused_in_the_vendors_words(key: SeriesKey, words: str) -> None:
    async with sandbox() as source:
        with pytest.raises(Rejected) as caught:
            await source.history(SPOT_OHLCV, key, WEEK, GROUPS)
    assert words in str(caught.value)
    assert "Not found" in str(caught.value)
    assert not isinstance(caught.value, Unauthorized)


async def test_a_key_is_required_known_or_refused() -> None:
    async with running(SandboxOptions(now=NOW, require_key=KEY)) as url:
        async with client(url, api_key=KEY) as source:
            assert len((await week(source)).rows) == 7
            await source.rate_limit()
        for wrong in (None, "another"):
            async with client(url, api_key=wrong) as source:
                with pytest.raises(Unauthorized, match=r"\(401\).*set TAPEWATCH_API_KEY") as caught:
                    await week(source)
                assert "another" not in str(caught.value)


async def test_limits_of_the_sandbox_become_waits() -> None:
    from core.sandbox.quota import parse_limits

    async with running(SandboxOptions(limits=parse_limits("day=1"))) as url, client(url) as source:
        await week(source)
        with pytest.raises(RateLimited) as caught:
            await week(source)
    assert 0 < caught.value.wait <= 86_400


STATUSES: list[tuple[int, type[SourceError]]] = [
    (204, Transient),
    (301, Transient),
    (304, Transient),
    (400, Rejected),
    (401, Unauthorized),
    (402, Rejected),
    (403, Unauthorized),
    (404, Rejected),
    (405, Rejected),
    (408, Transient),
    (410, Rejected),
    (418, Rejected),
    (425, Transient),
    (429, RateLimited),
    (451, Rejected),
    (500, Transient),
    (502, Transient),
    (503, Transient),
    (504, Transient),
    (529, Transient),
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
async def test_every_status_has_its_error(status: int, kind: type[SourceError]) -> None:
    body = (
        b"" if status in {204, 304} else b'{"Data":[],"Err":{"type":9,"message":"because \\u001b[31m","other_info":{}}}'
    )
    async with RawServer(answering(body, f"{status} Whatever")) as server, client(server.url) as source:
        with pytest.raises(kind) as caught:
            await week(source)
        assert type(caught.value) is kind
        assert ("because" in str(caught.value)) is bool(body)
        assert "\x1b" not in str(caught.value)
        for call in (lambda: source.listing(KRAKEN), lambda: source.listing(TOP), source.rate_limit):
            with pytest.raises(kind):
                await call()
        assert source.calls == len(server.heads) == 4, "one request a call, no retries"


async def test_the_sandboxs_faults_arrive_as_what_they_are(tmp_path: Path) -> None:
    faults = rules(
        tmp_path,
        {"calls": [1], "status": 503},
        {"calls": [2], "status": 502, "body": "<html>bad gateway</html>"},
        {"calls": [3], "body": "<html>log in to continue</html>"},
        {"calls": [4], "reset": True},
        {"calls": [5], "cut": 0.5},
        {"calls": [6], "truncate": 0.5},
        {"calls": [7], "mutate": {"rows": [0], "set": {"OPEN": {"raw": "NaN"}}}},
        {"calls": [8], "mutate": {"rows": [1], "set": {"OPEN": "1.5"}}},
        {"calls": [9], "empty": True},
    )
    expected = [
        (Transient, "503"),
        (Transient, "502"),
        (Malformed, "HTML"),
        (Transient, "connection failed"),
        (Transient, "connection failed"),
        (Malformed, "cannot be read"),
        (Malformed, "cannot be read"),
    ]
    async with sandbox(faults=faults) as source:
        for kind, words in expected:
            with pytest.raises(kind, match=words):
                await week(source)
        spoiled = await week(source)
        assert (len(spoiled.rows), [bad.reason for bad in spoiled.rejected]) == (6, ["type"])
        assert (await week(source)).rows == []
        assert len((await week(source)).rows) == 7


# --- the wire


async def test_the_request_says_what_is_asked_and_the_key_in_its_header_only() -> None:
    async with RawServer(answering()) as server, client(server.url, api_key=KEY) as source:
        await source.history(SPOT_OHLCV, BTC._replace(interval="1h"), Window(7_200, 36_000), ("ID", "OHLC"))
    [head] = server.heads
    request, *lines = head.split("\r\n")
    assert request == (
        "GET /spot/v1/historical/hours?market=kraken&instrument=BTC-USD&groups=ID,OHLC&limit=8"
        f"&to_ts={36_000 - HOUR.seconds} HTTP/1.1"
    )
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert headers["authorization"] == f"Apikey {KEY}"
    assert headers["accept-encoding"] == "gzip"
    assert head.count(KEY) == 1


async def test_without_a_key_none_is_sent_and_compression_is_a_choice() -> None:
    plain = HttpOptions(compress=False)
    async with RawServer(answering()) as server, client(server.url, http=plain) as source:
        await week(source)
    assert "authorization" not in server.heads[0].lower()
    assert "accept-encoding: identity" in server.heads[0].lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect_is_not_followed_and_the_key_stays(status: str) -> None:
    async with RawServer(answering()) as thief:
        redirect = answering(b"", status, Location=f"{thief.url}/stolen")
        async with RawServer(redirect) as server, client(server.url, api_key=KEY) as source:
            with pytest.raises(Transient, match=status[:3]):
                await week(source)
            assert len(server.heads) == 1
        assert thief.heads == []


async def test_cookies_are_not_kept() -> None:
    async with RawServer(answering(Set_Cookie="session=1")) as server, client(server.url) as source:
        await week(source)
        await week(source)
    assert "cookie" not in server.heads[1].lower()


async def test_proxies_and_netrc_of_the_environment_are_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with RawServer(answering()) as trap, RawServer(answering()) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, trap.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login ann password secret\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        async with client(server.url) as source:
            await week(source)
        assert trap.heads == []
    assert "authorization" not in server.heads[0].lower()


BODY = b'{"Data":[{"TIMESTAMP":1749859200,"UNIT":"DAY","MARKET":"kraken","OPEN":1.5}],"Err":{}}'


async def test_compressed_answers_are_read() -> None:
    zipped = answering(gzip.compress(BODY), Content_Encoding="gzip")
    upper = answering(gzip.compress(BODY), Content_Encoding="GZIP")
    async with RawServer(zipped, upper) as server, client(server.url) as source:
        for _ in range(2):
            assert (await week(source)).rows[0].open == 1.5


@pytest.mark.parametrize("cut", [0, 1, 9, 10, 40, len(gzip.compress(BODY)) - 9, len(gzip.compress(BODY)) - 1])
async def test_a_compressed_answer_that_ends_too_early_is_asked_again(cut: int) -> None:
    part = gzip.compress(BODY)[:cut]
    async with RawServer(answering(part, Content_Encoding="gzip")) as server, client(server.url) as source:
        with pytest.raises(Transient, match="ends too early"):
            await week(source)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "x\x7f"])
async def test_an_encoding_that_was_not_asked_for_is_refused(encoding: str) -> None:
    action = answering(zlib.compress(BODY), Content_Encoding=encoding)
    async with RawServer(action) as server, client(server.url) as source:
        with pytest.raises(Malformed) as caught:
            await week(source)
    assert caught.value.reason == "encoding"


async def test_what_claims_to_be_gzip_and_is_not_is_refused() -> None:
    async with RawServer(answering(b"plain text", Content_Encoding="gzip")) as server, client(server.url) as source:
        with pytest.raises(Malformed, match="not gzip"):
            await week(source)


@pytest.mark.slow
async def test_a_gzip_bomb_costs_neither_memory_nor_time() -> None:
    """256 MiB in 256 KiB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"\0" * (16 * 1024 * 1024)
    bomb = b"".join(squeeze.compress(zeros) for _ in range(16)) + squeeze.flush()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    action = answering(bomb, Content_Encoding="gzip")
    async with RawServer(action) as server, client(server.url) as source:
        started = time.monotonic()
        with pytest.raises(Malformed) as caught:
            await week(source)
    assert caught.value.reason == "too_large"
    assert time.monotonic() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 128 * 1024


async def test_a_body_without_end_is_cut_off() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = flooding(head, b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    async with RawServer(endless) as server, client(server.url) as source:
        with pytest.raises(Malformed, match="larger than"):
            await week(source)


@pytest.mark.parametrize(
    "action",
    [silent, dripping(BODY, 0.1), dripping(b"HTTP", 0.2)],
    ids=["accepts and is silent", "a byte at a time", "a few slow bytes"],
)
async def test_the_deadline_is_for_the_whole_answer(action: Any) -> None:
    async with RawServer(action) as server, client(server.url, http=QUICK) as source:
        started = time.monotonic()
        with pytest.raises(Transient, match=r"no complete answer within 0\.5 s"):
            await week(source)
        assert 0.4 < time.monotonic() - started < 3


BROKEN = {
    "reset": resetting,
    "closed at once": saying(b""),
    "cut in the status line": saying(b"HTTP/1.1 20"),
    "cut in the headers": saying(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut in the body": answering(BODY[:30], length=len(BODY)),
    "no HTTP": saying(b"\x16\x03\x01\x02\x00"),
    "SSH": saying(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "impossible status": saying(b"HTTP/1.1 abc OK\r\n\r\n"),
    "bad length": saying(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
    "two lengths": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"),
    "bad chunk": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "header bomb": saying(b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 100_000 + b"\r\n\r\n"),
    "many headers": saying(b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 100_000 + b"\r\n"),
    "long status": saying(b"HTTP/1.1 200 " + b"a" * 100_000 + b"\r\n\r\n"),
    "NUL in a header": saying(b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\n\r\n"),
}


@pytest.mark.parametrize("action", BROKEN.values(), ids=BROKEN)
async def test_a_broken_connection_is_transient(action: Any) -> None:
    async with RawServer(action, answering(BODY)) as server, client(server.url) as source:
        with pytest.raises(Transient):
            await week(source)
        assert len(server.heads) == source.calls == 1, "nothing is repeated behind our back"
        assert len((await week(source)).rows) == 1


async def test_nobody_there_is_transient() -> None:
    async with RawServer(answering()) as server:
        url = server.url
    async with client(url) as source:
        with pytest.raises(Transient, match=r"^connection failed: 127\.0\.0\.1:\d+: Connection refused$"):
            await week(source)
    async with client("http://does-not-exist.invalid") as source:
        with pytest.raises(Transient):
            await week(source)


async def test_a_reference_answer_cut_at_every_byte_is_never_half_believed() -> None:
    """With an honest length it is malformed, with the full length promised the connection broke."""
    whole = gzip.compress(BODY)
    for length in range(0, len(BODY), 7):
        async with RawServer(answering(BODY[:length])) as server, client(server.url) as source:
            with pytest.raises(Malformed):
                await week(source)
    for length in range(0, len(whole), 7):
        short = answering(whole[:length], length=len(whole), Content_Encoding="gzip")
        async with RawServer(short) as server, client(server.url) as source:
            with pytest.raises(Transient):
                await week(source)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (answering(b""), "empty"),
        (answering(b"<html>hello", Content_Type="text/html"), "html"),
        (answering(BODY, Content_Type="text/html"), "unparsable"),
        (answering(b"\xef\xbb\xbf" + BODY), "unparsable"),
        (answering(b"null"), "unparsable"),
        (answering(b"[" * 100_000), "unparsable"),
    ],
)
async def test_a_200_that_is_no_answer_is_malformed(action: Any, reason: str) -> None:
    async with RawServer(action) as server, client(server.url) as source:
        for call in (lambda: week(source), lambda: source.listing(KRAKEN), lambda: source.listing(TOP)):
            with pytest.raises(Malformed) as caught:
                await call()
            assert caught.value.reason == reason


@pytest.mark.parametrize("err", [b'{"message":"quota"}', b'{"type":99}', b'{"code":1}', b'{"message":null}'])
async def test_a_200_with_an_error_is_no_empty_page(err: bytes) -> None:
    async with RawServer(answering(b'{"Data":[],"Err":' + err + b"}")) as server, client(server.url) as source:
        with pytest.raises(Transient, match="200 with an error"):
            await week(source)


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        (b'{"first":1749859200}', NothingBefore),
        (b'{"first":"1749859200"}', Rejected),
        (b'{"first":true}', Rejected),
        (b"{}", Rejected),
        (b"[]", Rejected),
    ],
)
async def test_a_404_is_about_time_only_when_it_names_the_first_bar(info: bytes, kind: type[SourceError]) -> None:
    body = b'{"Data":[],"Err":{"type":1,"message":"No DAY entries","other_info":' + info + b"}}"
    async with RawServer(answering(body, "404 Not Found")) as server, client(server.url) as source:
        with pytest.raises(kind, match="No DAY entries") as caught:
            await week(source)
        assert type(caught.value) is kind


@pytest.mark.parametrize(
    "date", ["", "soon", "Wed, 21 Oct 99999999999 07:28:00 GMT", "Wed, 21 Oct 2026 25:61:00 GMT", "0" * 3_000]
)
async def test_an_odd_date_leaves_our_clock(date: str) -> None:
    async with RawServer(answering(BODY, Date=date)) as server, client(server.url) as source:
        page = await week(source)
        assert abs(page.server_time - time.time()) < 5


async def test_hostile_rate_limit_headers_do_no_harm() -> None:
    ears = Ears()
    odd = answering(b"", "429 Slow", Retry_After="9" * 4_000, X_RateLimit_Reset_All="x;window=0")
    async with RawServer(odd) as server, client(server.url, observe=ears) as source:
        with pytest.raises(RateLimited) as caught:
            await week(source)
    assert 0 <= caught.value.wait <= 3_600
    assert [served for _, served in ears.heard] == [False]


LISTING = {
    "BTC-USD": {"INSTRUMENT": "XBT\x1b[2J", "INSTRUMENT_MAPPING": {"BASE": "BTC", "QUOTE": "USD"}},
    "\x1b]52;c;x\x07": {"INSTRUMENT": "evil"},
    "'; DROP TABLE series": {},
    "ETH-USD": {"INSTRUMENT_STATUS": "RETIRED", "INSTRUMENT_MAPPING": None, "NEW": {"deep": []}},
}


async def test_names_in_listings_are_names() -> None:
    body = json.dumps({"Data": {"kraken": {"instruments": LISTING}}, "Err": {}}).encode()
    top = json.dumps(
        {"Data": {"STATS": {"TOTAL_ASSETS": 2}, "LIST": [{"ID": 1, "SYMBOL": "BTC"}, {"ID": 2, "SYMBOL": "\x1b[2J"}]}}
    ).encode()
    async with RawServer(answering(body), answering(top)) as server, client(server.url) as source:
        found = await instruments(source, KRAKEN)
        assets = await top_assets(source, 1)
    assert [(entry.name, entry.base, entry.is_active) for entry in found] == [
        ("BTC-USD", "BTC", True),
        ("ETH-USD", "", False),
    ]
    assert "\x1b" not in found[0].exchange_symbol
    assert [asset.symbol for asset in assets.assets] == ["BTC"]
    assert assets.is_last


@pytest.mark.parametrize("body", [b'{"Data":{},"Err":{}}', b'{"Data":{"coinbase":{"instruments":{}}},"Err":{}}'])
async def test_a_listing_without_the_market_asked_for_is_no_listing(body: bytes) -> None:
    """Taken for an empty one, it would make every instrument look delisted."""
    async with RawServer(answering(body)) as server, client(server.url) as source:
        with pytest.raises(Malformed, match="does not name kraken"):
            await source.listing(KRAKEN)


def constants_body(first: dict[str, Any]) -> bytes:
    rows = [
        first,
        {"TIMESTAMP": 1, "UNIT": "DAY", "MARKET": "kraken", "INSTRUMENT": "X", "MAPPED_INSTRUMENT": "BTC-USD"},
    ]
    return json.dumps({"Data": rows, "Err": {}}).encode()


OURS = {"TIMESTAMP": 1, "UNIT": "DAY", "MARKET": "kraken", "INSTRUMENT": "XXBTZUSD", "MAPPED_INSTRUMENT": "BTC-USD"}


@pytest.mark.parametrize(
    ("row", "constants"),
    [
        ({**OURS, "TYPE": "954"}, {"exchange_symbol": "XXBTZUSD", "instrument": "BTC-USD", "type": "954"}),
        ({**OURS, "TYPE": 954, "BASE": ["x"]}, {"exchange_symbol": "XXBTZUSD", "instrument": "BTC-USD"}),
        ({**OURS, "BASE": "B\x1b[2J"}, {"exchange_symbol": "XXBTZUSD", "instrument": "BTC-USD", "base": "B [2J"}),
        ({**OURS, "BASE_ID": 10**30, "QUOTE_ID": True}, {"exchange_symbol": "XXBTZUSD", "instrument": "BTC-USD"}),
        ({**OURS, "INSTRUMENT": "\x1b[2J"}, {"instrument": "BTC-USD"}),
        ({**OURS, "MAPPED_INSTRUMENT": "ETH-USD", "TYPE": "954"}, {}),
        ({**OURS, "MARKET": "coinbase", "TYPE": "954"}, {}),
        ({}, {}),
    ],
)
async def test_constants_come_from_a_row_of_the_series_itself(row: dict[str, Any], constants: dict[str, Any]) -> None:
    async with RawServer(answering(constants_body(row))) as server, client(server.url) as source:
        page = await source.history(SPOT_OHLCV, BTC, WEEK, SPOT_OHLCV.groups)
    assert page.constants() == constants


async def test_a_source_may_be_closed_before_it_was_used_and_calls_may_be_cancelled() -> None:
    await CoinDeskSource("http://127.0.0.1:9").close()
    async with RawServer(silent) as server, client(server.url) as source:
        call = asyncio.ensure_future(week(source))
        await server.was_asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_sources_are_found_by_name() -> None:
    source = open_source("coindesk", base_url="http://127.0.0.1:9")
    assert isinstance(source, CoinDeskSource)
    await source.close()
    with pytest.raises(ConfigError, match="there is no source 'coinbase'; installed: coindesk"):
        open_source("coinbase")
