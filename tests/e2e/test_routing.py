"""Which route takes a request, and what Envoy does with the decision: it selects its route anew."""

from __future__ import annotations

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.policies import policy, route, rule

STAFF = [rule("staff", {"header": "x-employee", "exact": "true"})]
AS_STAFF = {"x-employee": "true"}


def matching(name: str, **match: object) -> dict:
    return route(name, match=match, rules=STAFF)


POLICY = policy(
    matching("wildcard", hosts=["*.wild.test", "bare.test"]),
    matching("exact", hosts=["paths.test"], path={"exact": "/exact"}),
    matching("regex", hosts=["paths.test"], path={"regex": "/item/[0-9]+"}),
    matching("prefix", hosts=["paths.test"], path={"prefix": "/checkout"}),
    matching("methods", hosts=["methods.test"], methods=["POST", "PUT"]),
    matching(
        "headers",
        hosts=["headers.test"],
        headers=[{"name": "x-tenant", "exact": "acme"}, {"name": "x-beta", "present": True}],
    ),
    route(
        "rewriting",
        rules=STAFF,
        variant={"rewritePath": {"prefix": "/get_widgets", "with": "/v2/widgets"}},
    ),
    route(
        "setting",
        rules=STAFF,
        variant={"setHeaders": {"x-api-version": "2", "x-sent": "by-serinus"}},
    ),
    route("half", share="50%"),
)


def taken_by(client: Client, host: str, path: str = "/", **ask: object) -> str | None:
    """The route that took the request of an employee, who is a canary on each route."""
    headers = AS_STAFF | ask.pop("headers", {})  # type: ignore[operator]
    answer = client.ask(path, host=host, headers=headers, **ask)  # type: ignore[arg-type]
    if answer.reason["reason"] == "no-route":
        assert (answer.version, answer.reason["route"]) == ("v1", "-")
        return None
    assert (answer.version, answer.reason["reason"]) == ("v2", "rule")
    return answer.reason["route"]


@pytest.mark.parametrize(
    ("host", "route"),
    [
        ("a.wild.test", "wildcard"),
        ("b.a.wild.test", "wildcard"),
        ("A.Wild.Test:8443", "wildcard"),
        ("bare.test", "wildcard"),
        ("BARE.test:80", "wildcard"),
        ("wild.test", None),
        ("xwild.test", None),
        ("bare.test.evil", None),
    ],
)
def test_a_route_takes_its_hosts(client: Client, host: str, route: str | None) -> None:
    assert taken_by(client, host) == route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/exact", "exact"),
        ("/exact?x=/item/7", "exact"),
        ("/exact/", None),
        ("/item/7", "regex"),
        ("/item/7?q", "regex"),
        ("/item/7x", None),
        ("/a/item/7", None),
        ("/checkout", "prefix"),
        ("/checkout/pay?now=1", "prefix"),
        ("/?/checkout", None),
    ],
)
def test_a_route_takes_its_paths(client: Client, path: str, route: str | None) -> None:
    assert taken_by(client, "paths.test", path) == route


def test_a_route_takes_its_methods(client: Client) -> None:
    assert taken_by(client, "methods.test", method="POST") == "methods"
    assert taken_by(client, "methods.test", method="GET") is None


def test_a_route_takes_its_headers(client: Client) -> None:
    both = {"x-tenant": "acme", "x-beta": "1"}
    assert taken_by(client, "headers.test", headers=both) == "headers"
    assert taken_by(client, "headers.test", headers={"x-tenant": "acme"}) is None
    assert taken_by(client, "headers.test", headers=both | {"x-tenant": "other"}) is None


def test_the_upstream_is_told_variant_and_route_unless_stable(client: Client) -> None:
    inside = oracle.keys_in("half", 0, 500_000, 1)[0]
    canary = client.ask(host="half.test", headers={"x-user-id": inside})
    assert canary.received("x-serinus-variant") == ["canary"]
    assert canary.received("x-serinus-route") == ["half"]
    rest = oracle.keys_in("half", 500_000, 1_000_000, 1)[0]
    stable = client.ask(host="half.test", headers={"x-user-id": rest})
    assert not {name for name in stable.received_names if name.startswith("x-serinus-")}


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ("/get_widgets", "/v2/widgets"),
        ("/get_widgets?colour=red&size=%2F", "/v2/widgets?colour=red&size=%2F"),
        ("/get_widgets/7?x=1", "/v2/widgets/7?x=1"),
        ("/get_widgets?", "/v2/widgets?"),
    ],
)
def test_a_rewritten_path_lands_on_its_own_route(
    client: Client, proxy, sent: str, arrives: str
) -> None:
    answer = client.ask(sent, host="rewriting.test", headers=AS_STAFF)
    assert (answer.version, answer.path) == ("v2", arrives)
    line = proxy.logged(f'"GET {arrives} {client.protocol}" 200')
    assert 'route="widgets-v2"' in line


def test_other_paths_and_stable_callers_are_not_rewritten(client: Client) -> None:
    other = client.ask("/list?p=/get_widgets", host="rewriting.test", headers=AS_STAFF)
    assert (other.version, other.path) == ("v2", "/list?p=/get_widgets")
    stable = client.ask("/get_widgets?x=1", host="rewriting.test")
    assert (stable.version, stable.path) == ("v1", "/get_widgets?x=1")


def test_a_variants_headers_replace_the_callers(client: Client) -> None:
    headers = AS_STAFF | {"x-sent": "by-caller"}
    canary = client.ask(host="setting.test", headers=headers)
    assert canary.received("x-api-version") == ["2"]
    assert canary.received("x-sent") == ["by-serinus"]
    stable = client.ask(host="setting.test", headers={"x-sent": "by-caller"})
    assert stable.received("x-api-version") == []
    assert stable.received("x-sent") == ["by-caller"]


def test_bodies_arrive_whole(client: Client) -> None:
    body = bytes(range(256)) * 8192
    for headers, version in [(AS_STAFF, "v2"), ({}, "v1")]:
        answer = client.ask(host="setting.test", method="POST", headers=headers, body=body)
        assert (answer.version, answer.body_bytes) == (version, len(body))
