"""The assets of the synthetic world: names, ids and orders of magnitude, the same for every seed.

Prices, supplies and volumes are round figures of the middle of 2025. Ids 1, 2, 5 and 7 are the
vendor's own (its documented examples); the others are ours. They never change once published here.
"""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset. `price` in USD; `volume` in USD a day over all spot exchanges; `launch` UTC seconds.

    `beta` is how much it follows the market's cycle and `wobble` the size of a day's own movement
    as a fraction of the price. `edited` is when its page was changed (UTC seconds), if it was.
    """

    id: int
    symbol: str
    name: str
    uri: str
    kind: str
    industry: str
    price: float
    supply: float
    volume: float
    wobble: float
    beta: float
    launch: int
    decimals: int
    status: str = "ACTIVE"
    edited: int | None = None


def seconds(text: str) -> int:
    """UTC epoch seconds of an ISO date (midnight) or date and time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# id symbol kind industry price supply(million) volume(million USD/day) launch decimals name
_COINS = """
1 BTC BLOCKCHAIN PAYMENT 100000 19.87 26000 2009-01-03 8 Bitcoin
2 ETH BLOCKCHAIN PLATFORM 2500 120.7 15000 2015-07-30 18 Ethereum
7 USDT TOKEN STABLECOIN 1 155000 9000 2014-10-06 6 Tether
3 LTC BLOCKCHAIN PAYMENT 88 75.9 420 2011-10-07 8 Litecoin
4 XRP BLOCKCHAIN PAYMENT 2.2 58800 2600 2013-01-01 6 XRP
8 SOL BLOCKCHAIN PLATFORM 150 525 3100 2020-03-16 9 Solana
9 DOGE BLOCKCHAIN MEME 0.18 149000 1300 2013-12-06 8 Dogecoin
10 BNB BLOCKCHAIN EXCHANGE_UTILITY 650 140.9 900 2017-07-08 18 BNB
11 USDC TOKEN STABLECOIN 1 61000 4000 2018-09-26 6 USD Coin
12 ADA BLOCKCHAIN PLATFORM 0.66 35300 700 2017-09-29 6 Cardano
13 TRX BLOCKCHAIN PLATFORM 0.27 94900 560 2017-09-13 6 TRON
14 AVAX BLOCKCHAIN PLATFORM 20 422 390 2020-09-21 18 Avalanche
15 LINK TOKEN ORACLE 13.5 657 410 2017-09-19 18 Chainlink
16 SUI BLOCKCHAIN PLATFORM 3.2 3340 900 2023-05-03 9 Sui
17 SHIB TOKEN MEME 0.0000125 589000000 190 2020-08-01 18 Shiba Inu
18 XLM BLOCKCHAIN PAYMENT 0.26 31000 180 2014-07-31 7 Stellar
19 BCH BLOCKCHAIN PAYMENT 400 19.9 300 2017-08-01 8 Bitcoin Cash
20 DOT BLOCKCHAIN PLATFORM 4 1580 210 2020-08-18 10 Polkadot
21 HBAR BLOCKCHAIN PLATFORM 0.16 42200 170 2019-09-17 8 Hedera
22 TON BLOCKCHAIN PLATFORM 3.1 2490 150 2021-08-27 9 Toncoin
23 XMR BLOCKCHAIN PRIVACY 320 18.45 95 2014-04-18 12 Monero
24 UNI TOKEN DECENTRALIZED_FINANCE_PROTOCOL 6.4 600 330 2020-09-17 18 Uniswap
25 PEPE TOKEN MEME 0.0000115 420690000 900 2023-04-17 18 Pepe
26 AAVE TOKEN DECENTRALIZED_FINANCE_PROTOCOL 260 15.1 330 2020-10-02 18 Aave
27 NEAR BLOCKCHAIN PLATFORM 2.4 1220 150 2020-10-13 24 NEAR Protocol
28 APT BLOCKCHAIN PLATFORM 4.8 635 160 2022-10-17 8 Aptos
29 ICP BLOCKCHAIN PLATFORM 5.1 533 65 2021-05-10 8 Internet Computer
30 ETC BLOCKCHAIN PLATFORM 17 152 110 2016-07-20 18 Ethereum Classic
31 ATOM BLOCKCHAIN CROSS_CHAIN_INFRASTRUCTURE 4.3 391 110 2019-03-13 6 Cosmos
32 FIL BLOCKCHAIN DECENTRALIZED_INFRASTRUCTURE 2.6 670 140 2020-10-15 18 Filecoin
33 ARB TOKEN PLATFORM 0.35 4860 210 2023-03-23 18 Arbitrum
34 OP TOKEN PLATFORM 0.64 1700 120 2022-05-31 18 Optimism
35 ALGO BLOCKCHAIN PLATFORM 0.19 8650 55 2019-06-19 6 Algorand
36 VET BLOCKCHAIN PLATFORM 0.024 85900 35 2018-06-30 18 VeChain
37 INJ BLOCKCHAIN DECENTRALIZED_FINANCE_PROTOCOL 12.5 99.9 110 2020-10-20 18 Injective
38 RENDER TOKEN ARTIFICIAL_INTELLIGENCE 3.8 517 75 2020-06-10 18 Render
39 FET TOKEN ARTIFICIAL_INTELLIGENCE 0.75 2390 120 2019-02-28 18 Fetch.ai
40 GRT TOKEN DECENTRALIZED_INFRASTRUCTURE 0.095 9750 35 2020-12-17 18 The Graph
41 MKR TOKEN GOVERNANCE 1700 0.88 85 2017-12-18 18 Maker
42 LDO TOKEN LIQUID_STAKED 0.82 897 75 2020-12-17 18 Lido DAO
43 STX BLOCKCHAIN PLATFORM 0.7 1530 35 2019-10-28 6 Stacks
44 IMX TOKEN GAMING 0.52 1850 30 2021-11-05 18 Immutable X
45 SAND TOKEN METAVERSE 0.26 2450 45 2020-08-14 18 The Sandbox
46 MANA TOKEN METAVERSE 0.27 1950 40 2017-09-17 18 Decentraland
47 AXS TOKEN GAMING 2.4 160 35 2020-11-04 18 Axie Infinity
48 CRV TOKEN DECENTRALIZED_FINANCE_PROTOCOL 0.62 1360 190 2020-08-14 18 Curve DAO
49 SNX TOKEN DECENTRALIZED_FINANCE_PROTOCOL 0.66 343 30 2018-03-14 18 Synthetix
50 COMP TOKEN DECENTRALIZED_FINANCE_PROTOCOL 46 9.1 35 2020-06-15 18 Compound
51 YFI TOKEN DECENTRALIZED_FINANCE_PROTOCOL 5200 0.0337 18 2020-07-18 18 yearn.finance
52 SUSHI TOKEN DECENTRALIZED_FINANCE_PROTOCOL 0.65 187 28 2020-08-28 18 SushiSwap
53 ZEC BLOCKCHAIN PRIVACY 52 15.9 70 2016-10-28 8 Zcash
54 DASH BLOCKCHAIN PAYMENT 21 12.3 45 2014-01-18 8 Dash
55 EOS BLOCKCHAIN PLATFORM 0.6 1560 60 2018-06-10 4 EOS
56 XTZ BLOCKCHAIN PLATFORM 0.56 1040 18 2018-06-30 6 Tezos
57 NEO BLOCKCHAIN PLATFORM 5.7 70.5 18 2016-10-17 8 Neo
58 BAT TOKEN MEMBERSHIP 0.13 1490 14 2017-05-31 18 Basic Attention Token
59 ZRX TOKEN DECENTRALIZED_FINANCE_PROTOCOL 0.23 848 11 2017-08-15 18 0x
60 ENJ TOKEN GAMING 0.075 1820 9 2018-07-24 18 Enjin Coin
61 CHZ TOKEN MEMBERSHIP 0.039 9600 35 2019-07-03 18 Chiliz
62 GALA TOKEN GAMING 0.016 44600 75 2020-09-16 8 Gala
63 TIA BLOCKCHAIN PLATFORM 1.9 665 85 2023-10-31 6 Celestia
64 SEI BLOCKCHAIN PLATFORM 0.2 5560 110 2023-08-15 6 Sei
65 WIF TOKEN MEME 0.85 999 230 2023-11-20 6 dogwifhat
66 BONK TOKEN MEME 0.000015 79000000 190 2022-12-25 5 Bonk
67 JUP TOKEN DECENTRALIZED_FINANCE_PROTOCOL 0.45 2950 55 2024-01-31 6 Jupiter
68 WLD TOKEN IDENTITY 1.05 1650 150 2023-07-24 18 Worldcoin
69 ENA TOKEN DECENTRALIZED_FINANCE_PROTOCOL 0.31 6100 170 2024-04-02 18 Ethena
70 DAI TOKEN STABLECOIN 1 5360 90 2019-11-18 18 Dai
71 PAXG TOKEN REAL_WORLD_ASSETS 3350 0.27 60 2019-09-05 18 PAX Gold
72 FDUSD TOKEN STABLECOIN 1 1540 3200 2023-07-26 18 First Digital USD
73 KSM BLOCKCHAIN PLATFORM 15 16.9 12 2019-11-28 12 Kusama
74 ONDO TOKEN REAL_WORLD_ASSETS 0.8 3160 140 2024-01-18 18 Ondo
75 LUNC BLOCKCHAIN PLATFORM 0.00006 5500000 18 2019-04-24 6 Terra Classic
76 HYPE BLOCKCHAIN DECENTRALIZED_FINANCE_PROTOCOL 38 333 260 2024-11-29 8 Hyperliquid
"""
# id symbol price launch name
_FIATS = """
5 USD 1 1792-04-02 US Dollar
6 EUR 1.14 1999-01-01 Euro
90 GBP 1.35 1694-07-27 Pound Sterling
91 JPY 0.0069 1871-06-27 Japanese Yen
92 AUD 0.65 1966-02-14 Australian Dollar
93 CAD 0.73 1858-01-01 Canadian Dollar
94 TRY 0.0255 2005-01-01 Turkish Lira
95 BRL 0.18 1994-07-01 Brazilian Real
"""
_PEGGED = {"USDT", "USDC", "DAI", "FDUSD"}


def _coin(line: str) -> Asset:
    number, symbol, kind, industry, price, supply, volume, launch, decimals, name = line.split(maxsplit=9)
    pegged = symbol in _PEGGED
    return Asset(
        id=int(number),
        symbol=symbol,
        name=name,
        uri=name.lower().replace(" ", "-").replace(".", "-"),
        kind=kind,
        industry=industry,
        price=float(price),
        supply=round(float(supply) * 1e6, 4),
        volume=float(volume) * 1e6,
        wobble=0.0003 if pegged else 0.006 if symbol == "PAXG" else 0.02 if symbol == "BTC" else 0.035,
        beta=0.0 if pegged or symbol == "PAXG" else 1.0 if symbol == "BTC" else 0.9,
        launch=seconds(launch),
        decimals=int(decimals),
    )


def _fiat(line: str) -> Asset:
    number, symbol, price, launch, name = line.split(maxsplit=4)
    return Asset(
        id=int(number),
        symbol=symbol,
        name=name,
        uri=name.lower().replace(" ", "-"),
        kind="FIAT",
        industry="PAYMENT",
        price=float(price),
        supply=0.0,
        volume=0.0,
        wobble=0.0 if symbol == "USD" else 0.0025,
        beta=0.0,
        launch=seconds(launch),
        decimals=2,
    )


ASSETS = {
    asset.symbol: asset
    for asset in [
        *map(_coin, _COINS.strip().splitlines()),
        *map(_fiat, _FIATS.strip().splitlines()),
    ]
}
COINS = tuple(asset for asset in ASSETS.values() if asset.kind != "FIAT")
