"""The ledger of an account's calls in PostgreSQL, where all of its engines see it."""

from collections.abc import Sequence

from core.ledger import Grant, Report, decode, encode
from core.limits import Limit
from core.stores.database import Database
from core.stores.lease_sql import NOW

FIND = f"SELECT state, {NOW} FROM quota WHERE account = ? FOR UPDATE"


def exchange(db: Database, account: str, engine: str, report: Report, wanted: int) -> Grant:
    """As `Account.exchange`, on the stored one, which nobody else changes meanwhile."""
    # What a crash of the server forgets the next answer tells again.
    db.execute("SET LOCAL synchronous_commit TO off")
    if (found := db.execute(FIND, (account,)).fetchone()) is None:
        db.execute("INSERT INTO quota (account, state) VALUES (?, '{}') ON CONFLICT (account) DO NOTHING", (account,))
        found = db.execute(FIND, (account,)).fetchone()
    known = decode(found[0])
    grant = known.exchange(engine, report, wanted, found[1])
    db.execute("UPDATE quota SET state = ? WHERE account = ?", (encode(known).decode(), account))
    return grant


def read_left(db: Database, account: str) -> Sequence[Limit]:
    """What is left of each limit of an account, with the seconds until it resets in place of the time.

    Nothing while no limit is known.
    """
    found = db.execute(f"SELECT state, {NOW} FROM quota WHERE account = ?", (account,)).fetchone()
    # An exchange of nothing, which is not kept.
    return decode(found[0]).exchange("", Report(0), 0, found[1]).limits if found else ()
