"""The ledger of an account's calls in PostgreSQL, where all of its engines see it."""

import msgspec

from core.ledger import Account, Grant, Report
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
    known = _decoded(found[0])
    grant = known.exchange(engine, report, wanted, found[1])
    db.execute("UPDATE quota SET state = ? WHERE account = ?", (msgspec.json.encode(known).decode(), account))
    return grant


def _decoded(state: str) -> Account:
    """What another version has written is learned anew."""
    try:
        return msgspec.json.decode(state, type=Account)
    except msgspec.DecodeError:
        return Account()
