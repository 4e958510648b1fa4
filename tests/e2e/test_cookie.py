"""Issued cookies: a key for callers that have none."""

from __future__ import annotations

import re

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.policies import policy, route

SHARE = 500_000
POLICY = policy(
    route("plain", share="50%", key=[{"header": "x-user-id"}, {"issueCookie": "serinus"}]),
    route(
        "dressed",
        share="50%",
        key=[
            {
                "issueCookie": "side",
                "maxAge": "1h",
                "path": "/shop",
                "domain": "example.com",
                "secure": False,
                "httpOnly": False,
                "sameSite": "Strict",
            }
        ],
    ),
    route("elsewhere"),
)


def issued(answer: Answer) -> tuple[str, str, set[str]]:
    """Name, value and attributes of the one cookie that an answer sets."""
    assert len(answer.set_cookies) == 1, answer.set_cookies
    pair, *attributes = answer.set_cookies[0].split("; ")
    name, _, value = pair.partition("=")
    return name, value, set(attributes)


def test_the_request_that_gets_a_cookie_is_already_on_its_side(client: Client) -> None:
    versions = set()
    for _ in range(24):
        answer = client.ask(host="plain.test")
        _, value, _ = issued(answer)
        inside = oracle.slot("plain", value) < SHARE
        assert answer.version == ("v2" if inside else "v1")
        versions.add(answer.version)
        again = client.ask(host="plain.test", headers={"cookie": f"a=b; serinus={value}"})
        assert again.version == answer.version
        assert again.set_cookies == []
    assert versions == {"v1", "v2"}


def test_ids_are_random_and_of_128_bits(client: Client) -> None:
    values = [issued(client.ask(host="plain.test"))[1] for _ in range(30)]
    assert len(set(values)) == 30
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in values)


def test_every_bit_of_an_id_varies(client: Client) -> None:
    """By chance alone one of 128 bits would stay the same in one of 10^17 runs."""
    values = [int(issued(client.ask(host="plain.test"))[1], 16) for _ in range(64)]
    ever = never = values[0]
    for value in values:
        ever |= value
        never &= value
    assert (ever, never) == ((1 << 128) - 1, 0)


def test_a_proxy_that_starts_again_issues_other_ids(start, upstreams: Upstreams) -> None:
    """A generator with a fixed seed would repeat itself."""
    seen: list[str] = []
    for _ in range(2):
        envoy = start(POLICY, upstreams)
        # Each on a connection of its own, so that both workers begin.
        for _ in range(8):
            with Client(envoy.port, False) as one:
                seen.append(issued(one.ask(host="plain.test"))[1])
    assert len(set(seen)) == len(seen)


def test_the_defaults_are_safe(client: Client) -> None:
    name, _, attributes = issued(client.ask(host="plain.test"))
    assert name == "serinus"
    assert attributes == {"Max-Age=2592000", "Path=/", "Secure", "HttpOnly", "SameSite=Lax"}


def test_the_attributes_are_the_policys(client: Client) -> None:
    name, _, attributes = issued(client.ask(host="dressed.test"))
    assert name == "side"
    assert attributes == {"Max-Age=3600", "Path=/shop", "Domain=example.com", "SameSite=Strict"}


def test_a_caller_with_another_key_gets_no_cookie(client: Client) -> None:
    answer = client.ask(host="plain.test", headers={"x-user-id": "anna"})
    assert answer.set_cookies == []
    assert answer.reason["key"] == "header:x-user-id"


def test_a_route_that_issues_none_sets_none(client: Client) -> None:
    assert client.ask(host="elsewhere.test").set_cookies == []


@pytest.mark.parametrize(
    "value", ["", "x", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "\xff", '"' + "0" * 32 + '"']
)
def test_a_malformed_cookie_is_issued_anew(client: Client, value: str) -> None:
    header = ("cookie", f"serinus={value}".encode("latin-1"))
    answer = client.ask(host="plain.test", headers=[header])
    assert issued(answer)[1] != value
