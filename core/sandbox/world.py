"""What the vendor lists, and when: registers that follow each other in time."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from core.sandbox.assets import ASSETS, Asset
from core.sandbox.catalog import Catalog, Instrument

ACTIVE = "ACTIVE"
Listed = Mapping[str, Mapping[str, Mapping[str, Instrument]]]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether an exchange trades; `since` is when its status changed last (UTC seconds), None if never."""

    status: str = ACTIVE
    since: int | None = None


class Register:
    """Instruments by kind, market and mapped id; assets by symbol; exchanges whose status changed by id."""

    def __init__(self, instruments: Listed, assets: Mapping[str, Asset], standings: Mapping[str, Standing]) -> None:
        self.instruments = instruments
        self.assets = assets
        self._standings = standings

    def standing(self, market: str) -> Standing:
        return self._standings.get(market, Standing())

    @cached_property
    def _own_ids(self) -> dict[tuple[str, str, str], Instrument]:
        return {
            (kind, market, instrument.own_id): instrument
            for kind, markets in self.instruments.items()
            for market, listed in markets.items()
            for instrument in listed.values()
        }

    def find(self, kind: str, market: str, name: str) -> Instrument | None:
        """By mapped id first, then by the exchange's own."""
        return self.instruments[kind].get(market, {}).get(name) or self._own_ids.get((kind, market, name))


class World:
    """The registers of a seed: the `first`, then one from each of `changes` (UTC seconds) on."""

    def __init__(
        self, catalog: Catalog, changes: Sequence[tuple[int, Register]] = (), first: Register | None = None
    ) -> None:
        self.catalog = catalog
        first = first or Register(catalog.instruments, ASSETS, {})
        self._registers = [first, *(register for _, register in changes)]
        self._times = [at for at, _ in changes]

    def at(self, now: int) -> Register:
        """What is listed at `now`; instruments that begin later are in it too."""
        return self._registers[bisect_right(self._times, now)]
