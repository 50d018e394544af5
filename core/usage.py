"""What was sent to the vendor, by hour and by reason, and how far a month comes with it. Pure: time is passed in.

Days and months are those of the calendar in UTC, times UTC epoch seconds of our clock. What is not written down yet,
a second's calls, is lost with a process that is killed; commands that only read the store never write theirs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from core.errors import ConfigError, QuotaExhausted
from core.events import MonthUsage, QuotaWindow
from core.text import clean
from core.windows import Window, iso

HOUR, DAY = 3_600, 86_400
KEPT_SECONDS = 400 * DAY
MEAN_DAYS = 7
# What goes on before a month, for a mean on its first days.
BEFORE_SECONDS = MEAN_DAYS * DAY
LIMITS, VERIFY, OTHER = "limits", "verify", "other"
MONTH_BUDGET = "quota.month_budget"
DAY_BY_DAY = "day"
GROUPINGS = ("data_type", "label", "reason", DAY_BY_DAY, "account")


class Purpose(NamedTuple):
    """What a call is for: `reason` is one of those of plans, or limits, verify, other; `label` is that of the run."""

    data_type: str = ""
    reason: str = OTHER
    label: str = ""


UNNAMED = Purpose()


class Counted(NamedTuple):
    """`calls` were sent in the hour that begins at `hour`. All but them says what was counted."""

    hour: int
    account: str
    data_type: str
    reason: str
    label: str
    calls: int


class Usage:
    """Counts the calls of an `account`, of which a month may take `budget`; None is any number.

    Each call is counted once: what `take` gives is being written until `written` or `put_back` says how that ended.
    """

    def __init__(self, account: str = "", budget: int | None = None) -> None:
        self.account = account
        self.budget = budget
        self._stored: Mapping[int, int] = {}
        self._unwritten: Counter[tuple[int, Purpose]] = Counter()
        self._writing: Counter[tuple[int, Purpose]] = Counter()

    def learn(self, stored: Mapping[int, int]) -> None:
        """The store has so many calls of the account, by the day's start; ours that are written are among them."""
        self._stored = dict(stored)

    def spend(self, purpose: Purpose, now: float) -> None:
        """Count a call that is sent now. Raises QuotaExhausted, and counts nothing, when the budget is used up."""
        self.require_room(now)
        self._unwritten[int(now // HOUR) * HOUR, purpose] += 1

    def require_room(self, now: float) -> None:
        """Raises QuotaExhausted when no call of this month's budget is left."""
        if self.budget is not None and self.in_month(now) >= self.budget:
            end = iso(month_of(now).end)
            raise QuotaExhausted(f"{MONTH_BUDGET} is used up: {self.budget:,} calls this month, which ends {end}")

    def take(self) -> list[Counted]:
        """What is to be written down, in one order for everybody."""
        self._writing, self._unwritten = self._writing + self._unwritten, Counter()
        return [
            Counted(hour, self.account, *purpose, calls)
            for (hour, purpose), calls in sorted(self._writing.items(), key=lambda item: item[0])
        ]

    def written(self) -> None:
        """All that was taken is in the store."""
        self._stored, self._writing = self.by_day(is_stored=True), Counter()

    def put_back(self) -> None:
        """None of what was taken is in the store."""
        self._unwritten, self._writing = self._unwritten + self._writing, Counter()

    def by_day(self, *, is_stored: bool = False) -> Counter[int]:
        """Calls by the day's start, as far back as was learned; without those that nobody has taken yet if told so."""
        days = Counter(self._stored)
        for (hour, _), calls in (self._writing if is_stored else self._writing + self._unwritten).items():
            days[hour // DAY * DAY] += calls
        return days

    def in_month(self, now: float) -> int:
        """Calls since the month began."""
        return calls_in(self.by_day(), month_of(now))

    def left(self, now: float) -> int | None:
        """Calls of the month's budget that are left, None without one."""
        return None if self.budget is None else max(0, self.budget - self.in_month(now))


def calls_in(days: Mapping[int, int], span: Window) -> int:
    return sum(calls for day, calls in days.items() if span.start <= day < span.end)


def month_of(at: float) -> Window:
    """The calendar month that holds `at`."""
    start = datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return Window(int(start.timestamp()), int(following.timestamp()))


def parse_month(text: str) -> Window:
    """`2026-11`. Raises ConfigError for what is no month."""
    try:
        # With its zeros.
        date.fromisoformat(f"{text}-01")
        return month_of(datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        raise ConfigError(f"--month {clean(text, 40)!r}: write a year and a month, as in 2026-11") from None


def since(now: float) -> int:
    """From where days have to be known for what is said of this month."""
    return month_of(now).start - BEFORE_SECONDS


def per_day(days: Mapping[int, int], now: float) -> float:
    """The mean of the last seven full days, or of those since the first with calls; else what today has so far."""
    today = int(now // DAY) * DAY
    first = max(min(days, default=today), today - BEFORE_SECONDS)
    if first >= today:
        return float(days.get(today, 0))
    return calls_in(days, Window(first, today)) / ((today - first) // DAY)


class Forecast(NamedTuple):
    """`calls` by the end of the month; `reached` is when a bound on them will be, None when not in this month."""

    calls: int
    reached: float | None = None


def forecast(used: int, daily: float, now: float, bound: int | None = None) -> Forecast:
    """Where a month ends that has `used` calls so far and takes `daily` more a day; a bound may be reached by now."""
    end = month_of(now).end
    calls = used + round(daily * (end - now) / DAY)
    if bound is None or calls < bound:
        return Forecast(calls)
    return Forecast(calls, now if used >= bound else min(end, now + DAY * (bound - used) / daily))


def outlook(days: Mapping[int, int], now: float, budget: int | None, windows: Iterable[QuotaWindow] = ()) -> MonthUsage:
    """How this month goes, given our calls by the day's start. `windows` are the vendor's, as far as they are known."""
    ours, daily = calls_in(days, month_of(now)), per_day(days, now)
    whole = next((window for window in windows if window.name == "month" and window.resets_at > now), None)
    vendors = Forecast(0) if whole is None else forecast(whole.limit - whole.remaining, daily, now, whole.limit)
    expected = forecast(ours, daily, now, budget)
    rounded = max(ours, int(float(f"{expected.calls:.3g}")))
    return MonthUsage(ours, rounded, budget, _to_the_hour(expected.reached), _to_the_hour(vendors.reached))


def _to_the_hour(at: float | None) -> float | None:
    """So that what is foreseen does not change all the time."""
    return None if at is None else float(at // HOUR * HOUR)


class Part(NamedTuple):
    """What one thing took of a month."""

    name: str
    calls: int


def parts(rows: Iterable[Counted], by: str) -> list[Part]:
    """Calls by one of GROUPINGS: days in their order, else what took most first."""
    sums: Counter[str] = Counter()
    for row in rows:
        sums[iso(row.hour)[:10] if by == DAY_BY_DAY else str(getattr(row, by))] += row.calls
    in_order = sorted(sums) if by == DAY_BY_DAY else sorted(sums, key=lambda name: (-sums[name], name))
    return [Part(name, sums[name]) for name in in_order]


def not_ours(rows: Iterable[Counted], account: str, vendors: int) -> int:
    """Calls that the vendor has counted for an account and we have not; never less than none."""
    return max(0, vendors - sum(row.calls for row in rows if row.account == account))
