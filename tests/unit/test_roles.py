"""The SQL of roles: names that must not become SQL, and names that cannot be."""

import re

import pytest

from core.errors import ConfigError
from core.stores.roles import identifier, literal, roles_sql

HOSTILE = ["a b", 'a"b', "a'b", "a\\b", "a;b", "a--b", "$do$", "$do1$ $do$", "é", "Größe", "{schema}", "%I", "a/*b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_only_ever_seen_quoted(name: str) -> None:
    script = roles_sql("tapewatch", name, "other")
    tame = roles_sql("tapewatch", "same", "other")
    # But for the tag of the block, putting the tame name in its place gives the script of the tame name.
    back = script.replace(identifier(name), '"same"').replace(literal(name), "'same'")
    assert re.sub(r"\$do\d*\$", "$do$", back) == tame
    [opening, closing] = re.findall(r"^(?:DO )?(\$do\d*\$)", script, re.MULTILINE)
    assert opening == closing
    assert script.count(opening) == 2


@pytest.mark.parametrize(
    ("reader", "writer", "words"),
    [
        ("", "b", "--reader"),
        ("a", "b\nc", "--writer"),
        ("a\x00", "b", "printable"),
        ("a\u202eb", "b", "printable"),
        ("ä" * 32, "b", "63 bytes"),
        ("a", "pg_b", "for itself"),
        ("public", "b", "for itself"),
        ("same", "same", "different names"),
    ],
)
def test_names_that_cannot_be(reader: str, writer: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        roles_sql("tapewatch", reader, writer)


def test_quotes() -> None:
    assert identifier('a"b') == '"a""b"'
    assert literal("a'b") == "'a''b'"
    assert literal("a\\'b") == " E'a\\\\''b'"
    assert roles_sql("tapewatch", "ä" * 31, "b")
