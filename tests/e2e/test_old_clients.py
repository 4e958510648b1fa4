"""Old clients are told to refresh: on navigations or on API calls, and nobody else is."""

from __future__ import annotations

import pytest

from serinus_e2e import recipes
from serinus_e2e.client import Client

(POLICY,) = recipes.policies("old-clients")
COMMANDS = list(recipes.shown("old-clients"))
NAVIGATES = {"sec-fetch-mode": "navigate"}
OLD_PAGE = {"cookie": "app_version=1.9.3"}


@pytest.mark.parametrize("place", range(4))
def test_the_page_shows_what_happens(proxy, place: int) -> None:
    command, output = COMMANDS[place]
    with Client(proxy.port, False) as client:
        assert recipes.curl(client, command) == output


def test_only_who_is_meant_is_told(client: Client) -> None:
    assert len(COMMANDS) == 4
    for path, headers, status in [
        ("/cart", OLD_PAGE | NAVIGATES, 303),
        ("/cart", OLD_PAGE | {"sec-fetch-mode": "cors"}, 200),
        ("/cart", OLD_PAGE, 200),
        ("/refresh", OLD_PAGE | NAVIGATES, 200),
        ("/cart", {"cookie": "app_version=2.0.0"} | NAVIGATES, 200),
        ("/cart", NAVIGATES, 200),
        ("/api/cart", {"x-app-version": "1"}, 426),
        ("/cart", {"x-app-version": "1"}, 200),
        ("/api/cart", {"x-app-version": "2.0.1"}, 200),
        ("/api/cart", {"x-app-version": "new"}, 200),
        ("/api/cart", {}, 200),
    ]:
        assert client.ask(path, headers=headers).status == status, (path, headers)
