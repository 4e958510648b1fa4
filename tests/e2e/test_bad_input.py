"""Whatever arrives: the filter makes no request worse than no filter would, and never traps."""

from __future__ import annotations

import copy
import json

import pytest

from serinus_e2e import oracle, raw
from serinus_e2e.client import Client
from serinus_e2e.config import Config, Upstreams, connection_manager
from serinus_e2e.envoy import EcdsEnvoy
from serinus_e2e.policies import jwt, policy, route, rule

# A route that reads all that can be malformed; the share is all or nothing, so that only a key can
# bring a request to the canary, and any key does.
TEXTS = [{"exact": "never-sent"}, {"regex": "never-sent-.+"}]
VALUES = [*TEXTS, {"semver": "=99.98.97"}, {"number": "=-987654321"}]
CONDITIONS = [
    *(
        {named: "x-any"} | test
        for named in ["header", "cookie", "query", "jwtClaim"]
        for test in VALUES
    ),
    *({subject: {}} | test for subject in ["path", "host", "method"] for test in TEXTS),
    {"header": "x-any", "cidr": ["198.51.100.99/32"]},
    {"clientIp": {}, "cidr": ["198.51.100.99/32"]},
]
READING_ALL = route(
    "bad",
    share="100%",
    key=[
        {"header": "x-user-id"},
        {"cookie": "session_id"},
        {"jwtClaim": "sub"},
        {"query": "user"},
        {"baggage": "user"},
    ],
    rules=[rule(f"r{n}", holds, {"variant": "stable"}) for n, holds in enumerate(CONDITIONS)],
)
POLICY = policy(
    READING_ALL,
    route("issuing", share="100%", key=[{"issueCookie": "serinus"}]),
    trust="edge",
    report={"accessLog": True, "baggage": True},
)


def edit(config: Config) -> None:
    """Larger headers, and the same listener once more without the filter."""
    connection_manager(config)["max_request_headers_kb"] = 96
    # Envoy waits this long before it ends the connection of a request that it refused.
    connection_manager(config)["delayed_close_timeout"] = "0.02s"
    plain = copy.deepcopy(config["static_resources"]["listeners"][0])
    plain["name"] = "plain"
    settings = plain["filter_chains"][0]["filters"][0]["typed_config"]
    settings["http_filters"] = settings["http_filters"][1:]
    del settings["access_log"]
    config["static_resources"]["listeners"].append(plain)


def headers(*pairs: tuple[str, bytes]) -> raw.RawHeaders:
    return [(b"host", b"bad.test")] + [(name.encode(), value) for name, value in pairs]


def many(count: int) -> bytes:
    return b"; ".join(b"name%d=value%d" % (n, n) for n in range(count))


CANARY, STABLE, EITHER = "v2", "v1", None
NOT_UTF8 = b"\xff\xfe caf\xe9 \x80"
GOOD_TOKEN = jwt({"sub": "anna"}).encode()

# name: target, headers, and the shop that must answer.
HEADERS: dict[str, tuple[raw.RawHeaders, str | None]] = {
    "key is not UTF-8": (headers(("x-user-id", NOT_UTF8)), CANARY),
    "rule's header is not UTF-8": (headers(("x-any", NOT_UTF8)), STABLE),
    "any header is not UTF-8": (headers(("x-other", NOT_UTF8)), STABLE),
    "cookie is not UTF-8": (headers(("cookie", b"a=" + NOT_UTF8 + b"; session_id=s")), CANARY),
    "token is not UTF-8": (headers(("authorization", b"Bearer " + NOT_UTF8)), STABLE),
    "baggage is not UTF-8": (headers(("baggage", NOT_UTF8 + b",user=anna")), EITHER),
    "forwarded address is not one": (headers(("x-forwarded-for", NOT_UTF8)), STABLE),
    "60 kB of cookie": (headers(("cookie", b"session_id=" + b"x" * 60_000)), EITHER),
    "a key behind 60 kB of cookie": (
        headers(("cookie", b"a=" + b"x" * 60_000 + b"; session_id=s")),
        EITHER,
    ),
    "60 kB of cookie without a key": (headers(("cookie", b"=;" * 30_000)), STABLE),
    "500 cookies, the key last": (headers(("cookie", many(499) + b"; session_id=s")), EITHER),
    "500 cookies without a key": (headers(("cookie", many(500))), STABLE),
    "cookies with no sense": (
        headers(("cookie", b";;=;a;=b; ;session_id;session_id =x;\t")),
        EITHER,
    ),
    "cookies on two lines": (headers(("cookie", b"a=b"), ("cookie", b"session_id=s")), CANARY),
    "60 kB of baggage": (headers(("baggage", b"k=" + b"v" * 60_000)), STABLE),
    "500 members of baggage": (headers(("baggage", many(500).replace(b"; ", b","))), STABLE),
    "the same header 40 times": (headers(*[("x-user-id", b"u%d" % n) for n in range(40)]), CANARY),
    "own headers 40 times": (headers(*[("x-serinus-variant", b"canary")] * 40), STABLE),
    "two tokens": (headers(("authorization", b"junk"), ("authorization", GOOD_TOKEN)), CANARY),
    "empty values everywhere": (
        headers(*[(name, b"") for name in ["x-user-id", "cookie", "authorization", "baggage"]]),
        STABLE,
    ),
    **{
        f"token {token[:24]!r}": (headers(("authorization", token)), STABLE)
        for token in [
            b"Bearer",
            b"Bearer ",
            b"Bearer ..",
            b"Bearer a.b.c",
            b"Bearer e30.bnVsbA.x",
            b"Bearer e30.W10.x",
            b"Bearer e30.eyJzdWIiOnt9fQ.x",
            b"Bearer e30.eyJzdWIiOiI.x",
            b"Bearer e30." + b"W" * 40_000 + b".x",
            b"." * 1000,
            b"Basic YTpi",
        ]
    },
    **{
        f"baggage {baggage!r}": (headers(("baggage", baggage)), STABLE)
        for baggage in [b",", b"=", b"user", b"user=", b"=anna", b";;;,,,", b"u r=%", b"%zz=%00"]
    },
}
TARGETS: dict[bytes, str | None] = {
    b"/%00": STABLE,
    b"/a%00b?user=anna": CANARY,
    b"/?user=%00": EITHER,
    b"/?user=%ff%fe": CANARY,
    b"/?user=%": EITHER,
    b"/?user=%zz&%zz=1": EITHER,
    b"/?" + b"a=b&" * 5000 + b"user=anna": EITHER,
    b"/" + b"a" * 30_000: STABLE,
    b"//": STABLE,
    b"/?": STABLE,
    b"/???&&&===": STABLE,
    b"/..%2f..%2fetc": STABLE,
    b"/a;b=c": STABLE,
    b"relative": EITHER,
    b"relative?user=anna": EITHER,
    b"*": EITHER,
    b"": EITHER,
    b"http://bad.test/absolute": EITHER,
    b"/caf\xc3\xa9": EITHER,
    b"/\xff\xfe": EITHER,
}


@pytest.fixture(scope="module")
def plain_port(proxy: EcdsEnvoy) -> int:
    """The listener without the filter."""
    return proxy.listener_port("plain")


def check(
    proxy: EcdsEnvoy,
    plain_port: int,
    http2: bool,
    target: bytes,
    sent: raw.RawHeaders,
    expected: str | None,
    method: bytes = b"GET",
) -> None:
    status, body = raw.send(proxy.port, http2, method, target, sent)
    plain_status, _ = raw.send(plain_port, http2, method, target, sent)
    assert status == plain_status
    if expected:
        assert status == 200
        assert json.loads(body)["version"] == expected


@pytest.mark.parametrize("name", HEADERS)
def test_bad_headers(proxy: EcdsEnvoy, plain_port: int, http2: bool, name: str) -> None:
    sent, expected = HEADERS[name]
    check(proxy, plain_port, http2, b"/", sent, expected)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target[:20]))
def test_bad_targets(proxy: EcdsEnvoy, plain_port: int, http2: bool, target: bytes) -> None:
    check(proxy, plain_port, http2, target, headers(), TARGETS[target])


@pytest.mark.parametrize("method", [b"OPTIONS", b"PROPFIND", b"X-" + b"Y" * 60, b"get"])
def test_odd_methods(proxy: EcdsEnvoy, plain_port: int, http2: bool, method: bytes) -> None:
    check(proxy, plain_port, http2, b"/", headers(), EITHER, method)
    check(proxy, plain_port, http2, b"*", headers(), EITHER, method)


@pytest.mark.parametrize(
    "host",
    [b"", b"bad.test:99999", b"BAD.test", b"[::1]:80", b"*.bad.test", b"caf\xe9.test", b"a" * 5000],
)
def test_odd_hosts(proxy: EcdsEnvoy, plain_port: int, http2: bool, host: bytes) -> None:
    check(proxy, plain_port, http2, b"/", [(b"host", host), (b"x-user-id", b"anna")], EITHER)


def test_a_bad_issued_cookie_is_no_failure(proxy: EcdsEnvoy, plain_port: int, http2: bool) -> None:
    sent = [(b"host", b"issuing.test"), (b"cookie", b"serinus=" + NOT_UTF8)]
    check(proxy, plain_port, http2, b"/", sent, CANARY)


def test_500_routes_in_1_mb_of_policy(start, upstreams: Upstreams, http2: bool) -> None:
    """Each route has a rule with a list of 2 kB; the last route is as right as the first."""
    values = [f"tenant-{n:013}" for n in range(85)]
    routes = [
        route(f"r{n}", share="50%", rules=[rule("tenants", {"header": "x-tenant", "in": values})])
        for n in range(500)
    ]
    large = policy(*routes)
    assert len(json.dumps(large)) > 1_000_000
    envoy = start(large, upstreams)
    with Client(envoy.port, http2) as client:
        for number in [0, 250, 499]:
            key = oracle.keys_in(f"r{number}", 0, 500_000, 1)[0]
            answer = client.ask(host=f"r{number}.test", headers={"x-user-id": key})
            assert (answer.version, answer.reason["route"]) == ("v2", f"r{number}")
        by_rule = client.ask(host="r499.test", headers={"x-tenant": values[-1]})
        assert (by_rule.version, by_rule.reason["rule"]) == ("v2", "tenants")
        assert client.ask(host="r500.test").reason["reason"] == "no-route"


NONSENSE = {"lists": "[" * 1_000_000, "text": '"' + "x" * 1_000_000, "objects": '{"a":' * 200_000}


@pytest.mark.parametrize("text", NONSENSE.values(), ids=NONSENSE)
def test_1_mb_of_nonsense_is_no_policy(start, upstreams: Upstreams, http2: bool, text: str) -> None:
    with Client(start(text, upstreams).port, http2) as client:
        assert client.ask(headers={"x-user-id": "anna"}).version == "v1"
