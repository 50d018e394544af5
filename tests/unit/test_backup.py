"""What a backup tells other programs about where a database is."""

import pytest

from core.errors import ConfigError
from core.stores.backup import Destination


@pytest.mark.parametrize(
    ("dsn", "url", "password"),
    [
        ("postgresql://h/d", "postgresql://h/d", None),
        ("postgresql://u@h:1/d", "postgresql://u@h:1/d", None),
        ("postgresql://u:p%40w@h/d", "postgresql://u@h/d", "p@w"),
        ("postgresql://u:p@h:1,i:2/d?sslmode=require", "postgresql://u@h:1,i:2/d?sslmode=require", "p"),
        ("postgresql://u@h/d?password=p%26w&sslmode=require", "postgresql://u@h/d?sslmode=require", "p&w"),
        ("postgresql:///d?host=/tmp", "postgresql:///d?host=%2Ftmp", None),
    ],
)
def test_the_password_is_apart(dsn: str, url: str, password: str | None) -> None:
    place = Destination.of(dsn)
    assert place == (url, password)
    assert place.environment.get("PGPASSWORD") == password


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ConfigError, match="service file"):
        Destination.of("postgresql://u@h/d?sslpassword=x")
