"""`dash --web`: who may open it, and every screen of it in a real browser."""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import chromium
import pytest
from e2e_program import Program, Started

from tui import actions
from tui.views import tabs

pytest.importorskip("textual_serve")
# Of each screen a pane that no other has.
PANES = {
    actions.OVERVIEW: "Quota",
    actions.JOBS: "Job j-",
    actions.DATA: "Stored series",
    actions.ALERTS: "Silences",
    actions.CACHE: "Hit rate",
    actions.SCHEDULES: "Schedules",
    actions.SYSTEM: "Health",
}


def served(tapewatch: Program) -> tuple[Started, str]:
    """The server, and the address that it says to open."""
    server = tapewatch.start("dash", "--web")
    return server, server.says(r"^open (http://127\.0\.0\.1:\d+/\?token=\S+)")[1]


def answer(address: str, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        found = connection.getresponse()
        found.read()
        return found
    finally:
        connection.close()


@pytest.mark.slow
def test_who_has_no_token_or_comes_from_elsewhere_is_refused(tapewatch: Program) -> None:
    tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-25", code=0)
    server, address = served(tapewatch)
    token, here = urlsplit(address).query, urlsplit(address).netloc
    welcome = answer(address, f"/?{token}")
    cookie = str(welcome.headers["Set-Cookie"]).split(";")[0]
    assert (welcome.status, welcome.headers["Location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in welcome.headers["Set-Cookie"].split(";")}
    for path in ("/", "/ws", "/static/js/textual.js", "/download/x", "/?token=guessed"):
        assert answer(address, path).status == 403
        assert answer(address, path, Cookie=cookie, Host="evil.example").status == 403
        assert answer(address, path, Cookie=cookie, Origin="http://evil.example").status == 403
    page = answer(address, "/", Cookie=cookie, Origin=f"http://{here}")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'self'")
    server.signal(15)
    assert server.done().code in {0, 143}


@pytest.mark.slow
@pytest.mark.skipif(chromium.PROGRAM is None and not chromium.IS_NEEDED, reason="there is no chromium")
async def test_every_screen_in_a_browser(tapewatch: Program, tmp_path: Path) -> None:
    tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-25", code=0)
    server, address = served(tapewatch)
    try:
        async with chromium.opened(address, tmp_path / "profile") as page:
            await page.until_shown("1 Overview")
            await page.until_shown("LIVE")
            width, _ = page.size
            here = actions.OVERVIEW
            for kind in (*list(actions.TABS)[1:], actions.OVERVIEW):
                column = next(x for x in range(width) if tabs.at(x, here, (), width) == kind) + 1
                await page.click_until_shown(column, 1, f"─ {PANES[kind]}")
                here = kind
            ours = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "about:")
            assert [url for url in page.asked if not url.startswith(ours)] == []
    finally:
        server.signal(15)
        server.done()
