"""SQL of the roles for a PostgreSQL store: one that looks, one that also writes. Neither changes the schema."""

from core.errors import ConfigError
from core.text import clean

LONGEST_NAME = 63

SCRIPT = """\
-- Roles for the Tapewatch store in schema {schema}:
-- {reader} may look,
-- {writer} may ingest, too.
-- For the owner of the tables or a superuser to run, in the database of the store, once `tapewatch db migrate` has made
-- it; running it again does no harm. The roles get no password; give them one with psql's \\password.

BEGIN;

DO {quote}
DECLARE
    -- Who migrates: what later migrations make is to be granted, too.
    migrator name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass({migration}));
    wanted name;
BEGIN
    IF migrator IS NULL THEN
        RAISE EXCEPTION 'there is no store in schema % yet; tapewatch db migrate makes it', {schema_text};
    END IF;
    FOREACH wanted IN ARRAY ARRAY[{reader_text}, {writer_text}]::name[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), wanted);
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',
            migrator, {schema_text}, wanted);
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON SEQUENCES TO %I',
            migrator, {schema_text}, wanted);
    END LOOP;
    wanted := {writer_text};
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), wanted);
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT INSERT, UPDATE, DELETE ON TABLES TO %I',
        migrator, {schema_text}, wanted);
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT USAGE, UPDATE ON SEQUENCES TO %I',
        migrator, {schema_text}, wanted);
END
{quote};

REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC, {reader}, {writer};
GRANT USAGE ON SCHEMA {schema} TO {reader}, {writer};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {reader}, {writer};
GRANT SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {reader}, {writer};

GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {writer};
GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA {schema} TO {writer};
-- Which migrations were applied is for who migrates to say.
REVOKE INSERT, UPDATE, DELETE ON {schema}.migration FROM {writer};

COMMIT;
"""


def roles_sql(schema: str, reader: str, writer: str) -> str:
    """The script for `schema`. Raises ConfigError for names that cannot be those of two roles."""
    for option, name in (("reader", reader), ("writer", writer)):
        _check(option, name)
    if reader == writer:
        raise ConfigError(f"--reader and --writer are both {clean(reader)!r}; they need different names")
    values = {
        "schema": identifier(schema),
        "reader": identifier(reader),
        "writer": identifier(writer),
        "schema_text": literal(schema),
        "reader_text": literal(reader),
        "writer_text": literal(writer),
        "migration": literal(f"{identifier(schema)}.migration"),
    }
    return SCRIPT.format(quote=_dollar_quote("".join(values.values())), **values)


def _check(option: str, name: str) -> None:
    if not name or not name.isprintable():
        raise ConfigError(f"--{option} {clean(name)!r}: a role's name is one line of printable characters")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise ConfigError(f"--{option} {clean(name)!r}: PostgreSQL cuts names after {LONGEST_NAME} bytes")
    if name.startswith("pg_") or name in {"public", "none"}:
        raise ConfigError(f"--{option} {name!r}: PostgreSQL keeps this name for itself")


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A string, whether the server takes backslashes for escapes or not."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f" E{quoted}" if "\\" in text else quoted


def _dollar_quote(inside: str) -> str:
    """What ends the block and does not occur in it."""
    number = 0
    while f"$do{number or ''}$" in inside:
        number += 1
    return f"$do{number or ''}$"
