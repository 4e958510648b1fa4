"""Every source of the key: the shop that answers is the one that the key's slot says."""

from __future__ import annotations

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.config import Config, connection_manager
from serinus_e2e.policies import jwt, policy, route

SHARE_PERCENT = 30
SHARE = SHARE_PERCENT * 10_000
CANARY, STABLE = "v2", "v1"


def keyed(name: str, *key: dict) -> dict:
    return route(name, share=f"{SHARE_PERCENT}%", key=list(key))


POLICY = policy(
    keyed("header", {"header": "X-User-Id"}),
    keyed("cookie", {"cookie": "session_id"}),
    keyed("claim", {"jwtClaim": "sub"}),
    keyed("claim-elsewhere", {"jwtClaim": "sub", "header": "x-token"}),
    keyed("query", {"query": "user"}),
    keyed("baggage", {"baggage": "user"}),
    keyed("address", {"clientIp": {}}),
    keyed("several", {"header": "x-user-id"}, {"cookie": "session_id"}, {"query": "user"}),
    route("salted", share=f"{SHARE_PERCENT}%", salt="winter-2026"),
    {
        "name": "three",
        "match": {"hosts": ["three.test"]},
        "key": [{"header": "x-user-id"}],
        "variants": [
            {"name": "canary", "share": "20%"},
            {"name": "top", "share": "20%"},
            {"name": "middle", "share": "10%", "from": "40%"},
        ],
    },
)


def edit(config: Config) -> None:
    """One trusted hop in front, so that a test can be called from any address."""
    connection_manager(config)["xff_num_trusted_hops"] = 1


def ask_with_key(client: Client, source: str, key: str):
    host = f"{source}.test"
    match source:
        case "header" | "salted":
            return client.ask(host=host, headers={"x-user-id": key})
        case "cookie":
            return client.ask(host=host, headers={"cookie": f"theme=dark; session_id={key}; a=b"})
        case "claim":
            return client.ask(host=host, headers={"authorization": jwt({"sub": key, "a": 1})})
        case "claim-elsewhere":
            token = jwt({"sub": key}).removeprefix("Bearer ")
            return client.ask(host=host, headers={"x-token": token})
        case "query":
            return client.ask(f"/list?page=2&user={key}", host=host)
        case "baggage":
            return client.ask(host=host, headers={"baggage": f"tenant=a;p=1, user={key}"})
        case "address":
            return client.ask(host=host, headers={"x-forwarded-for": key}, explain=False)
    raise AssertionError(source)


SOURCES = {
    "header": "header:x-user-id",
    "cookie": "cookie:session_id",
    "claim": "jwtClaim:sub",
    "claim-elsewhere": "jwtClaim:sub",
    "query": "query:user",
    "baggage": "baggage:user",
    "salted": "header:x-user-id",
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_key_decides_which_shop_answers(client: Client, source: str) -> None:
    salt = "winter-2026" if source == "salted" else source
    keys = oracle.keys_in(salt, 0, SHARE, 8) + oracle.keys_in(salt, SHARE, oracle.SLOTS, 8)
    for key in keys:
        slot = oracle.slot(salt, key)
        answer = ask_with_key(client, source, key)
        assert answer.version == (CANARY if slot < SHARE else STABLE), (key, slot)
        said = answer.reason
        assert said["route"] == source
        assert said["variant"] == ("canary" if slot < SHARE else "stable")
        assert said["reason"] == ("share" if slot < SHARE else "rest")
        assert said["slot"] == str(slot)
        assert said["key"] == SOURCES[source]


def test_the_callers_address_decides_which_shop_answers(client: Client) -> None:
    seen = set()
    for last in range(1, 40):
        address = f"203.0.113.{last}"
        expected = CANARY if oracle.slot("address", address) < SHARE else STABLE
        assert ask_with_key(client, "address", address).version == expected, address
        seen.add(expected)
    assert seen == {CANARY, STABLE}


def test_the_first_source_with_a_value_counts(client: Client) -> None:
    inside, outside = (
        oracle.keys_in("several", 0, SHARE, 1)[0],
        oracle.keys_in("several", SHARE, oracle.SLOTS, 1)[0],
    )

    def ask(path: str, **headers: str):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.ask(path, host="several.test", headers=named)

    everywhere = ask(f"/?user={outside}", x_user_id=inside, cookie=f"session_id={outside}")
    assert (everywhere.version, everywhere.reason["key"]) == (CANARY, "header:x-user-id")
    by_cookie = ask(f"/?user={outside}", x_user_id="", cookie=f"session_id={inside}")
    assert (by_cookie.version, by_cookie.reason["key"]) == (CANARY, "cookie:session_id")
    by_query = ask(f"/?user={inside}", cookie="session_id=")
    assert (by_query.version, by_query.reason["key"]) == (CANARY, "query:user")


@pytest.mark.parametrize("source", SOURCES)
def test_a_caller_without_a_key_stays_stable(client: Client, source: str) -> None:
    for key in [None, ""]:
        host = f"{source}.test"
        answer = client.ask(host=host) if key is None else ask_with_key(client, source, key)
        assert answer.version == STABLE
        assert answer.reason["reason"] == "no-key"
        assert "slot" not in answer.reason


def test_further_variants_grow_from_the_top_and_from_where_they_say(client: Client) -> None:
    expected = {
        (0, 200_000): "canary",
        (200_000, 400_000): "stable",
        (400_000, 500_000): "middle",
        (500_000, 800_000): "stable",
        (800_000, 1_000_000): "top",
    }
    for (low, high), variant in expected.items():
        for key in oracle.keys_in("three", low, high, 4):
            answer = client.ask(host="three.test", headers={"x-user-id": key})
            assert answer.reason["variant"] == variant, key
            sent = answer.received("x-serinus-variant")
            assert sent == ([] if variant == "stable" else [variant])


def test_connections_and_workers_agree(proxy, http2: bool) -> None:
    """Ten connections spread over both workers; a key's side is the same on each."""
    key = oracle.keys_in("header", 0, SHARE, 1)[0]
    for _ in range(10):
        with Client(proxy.port, http2) as client:
            assert client.ask(host="header.test", headers={"x-user-id": key}).version == CANARY
