"""Rules: every subject and every test decides which shop answers, before the share does."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.policies import TRUSTED_CALLER, jwt, policy, route, rule

Headers = dict[str, str]


@dataclass
class Ask:
    """What a request is like, where it matters to a rule."""

    headers: Headers = field(default_factory=dict)
    path: str = "/"
    method: str = "GET"


def x(value: str) -> Ask:
    return Ask({"x-a": value})


def claim(**claims: object) -> Ask:
    return Ask({"authorization": jwt(claims)})


# name: condition, requests for which it holds, requests for which it does not.
CASES: dict[str, tuple[dict, list[Ask], list[Ask]]] = {
    # subjects
    "header": ({"header": "X-A", "exact": "1"}, [x("1")], [x("2"), Ask()]),
    "cookie": (
        {"cookie": "beta", "exact": "1"},
        [Ask({"cookie": "a=b; beta=1"})],
        [Ask({"cookie": "beta=2"}), Ask({"cookie": "xbeta=1"}), Ask()],
    ),
    "query": (
        {"query": "q", "exact": "a b"},
        [Ask(path="/?q=a%20b"), Ask(path="/?p=1&q=a+b")],
        [Ask(path="/?q=a"), Ask(path="/?Q=a%20b")],
    ),
    "path": (
        {"path": {}, "prefix": "/admin/"},
        [Ask(path="/admin/x?y=1")],
        [Ask(path="/x?/admin/"), Ask(path="/admin")],
    ),
    "host": ({"host": {}, "exact": "host.test"}, [Ask()], []),
    "host-not": ({"host": {}, "exact": "host.test"}, [], [Ask()]),
    "method": ({"method": {}, "exact": "PUT"}, [Ask(method="PUT")], [Ask(), Ask(method="POST")]),
    "claim": (
        {"jwtClaim": "group", "exact": "beta"},
        [claim(group="beta")],
        [claim(group="other"), claim(), Ask(), Ask({"authorization": "Bearer a.b.c"})],
    ),
    "claim-elsewhere": (
        {"jwtClaim": "group", "header": "x-token", "exact": "beta"},
        [Ask({"x-token": jwt({"group": "beta"})})],
        [claim(group="beta")],
    ),
    "address": ({"clientIp": {}, "cidr": ["127.0.0.1/32"]}, [Ask()], []),
    "address-other": ({"clientIp": {}, "cidr": ["10.0.0.0/8", "::/0"]}, [], [Ask()]),
    # tests
    "exact": ({"header": "x-a", "exact": "ab"}, [x("ab")], [x("abc"), x("AB")]),
    "prefix": ({"header": "x-a", "prefix": "ab"}, [x("abc")], [x("cab"), Ask()]),
    "suffix": ({"header": "x-a", "suffix": "bc"}, [x("abc")], [x("bca")]),
    "contains": ({"header": "x-a", "contains": "b"}, [x("abc")], [x("ac")]),
    "regex": ({"header": "x-a", "regex": "a+|b"}, [x("aaa"), x("b")], [x("ab"), x("xa")]),
    "in": ({"header": "x-a", "in": ["de", "at"]}, [x("de"), x("at")], [x("ch"), Ask()]),
    "present": ({"header": "x-a", "present": True}, [x("any")], [Ask()]),
    "absent": ({"header": "x-a", "present": False}, [Ask()], [x("any")]),
    "semver": (
        {"header": "x-a", "semver": ">=1.2.0, <2"},
        [x("1.2.0"), x("1.10.3"), x("v1.2")],
        [x("1.1.9"), x("2.0.0"), x("new"), Ask()],
    ),
    "number": (
        {"header": "x-a", "number": ">=10, <20"},
        [x("10"), x("19.5")],
        [x("9"), x("20"), x("1e999"), x("NaN"), x("ten"), Ask()],
    ),
    "cidr": (
        {"header": "x-a", "cidr": ["192.0.2.0/24", "2001:db8::/32"]},
        [x("192.0.2.7"), x("2001:db8::1")],
        [x("192.0.3.7"), x("::1"), x("here"), Ask()],
    ),
    "not": ({"header": "x-a", "exact": "a", "not": True}, [x("b"), Ask()], [x("a")]),
}

FIRST = [
    rule("old", {"header": "x-app", "semver": "<2.0.0"}, {"variant": "stable"}),
    rule("staff", {"header": "x-employee", "exact": "true"}),
]
BOTH = [{"header": "x-a", "exact": "1"}, {"cookie": "c", "exact": "2"}]
MARKS = {"then": {"setHeaders": {"x-marked": "yes"}}, "when": [{"header": "x-a", "present": True}]}
GONE = {"status": 426, "headers": {"x-why": "too old"}, "body": "Please update the app.\n"}
POLICY = policy(
    *(route(name, rules=[rule("it", condition)]) for name, (condition, _, _) in CASES.items()),
    route("first", share="50%", rules=FIRST),
    route("all", rules=[rule("it", BOTH)]),
    route("marks", rules=[{"name": "mark", **MARKS}, *FIRST]),
    route(
        "refuses",
        rules=[rule("too-old", {"header": "x-app", "semver": "<2.0.0"}, {"respond": GONE})],
    ),
    route("trusted", rules=[rule("it", TRUSTED_CALLER)]),
)
# The one condition that its own host fulfils needs another host for its counterpart.
POLICY["routes"] = [
    entry | {"match": {"hosts": ["other.test"]}} if entry["name"] == "host-not" else entry
    for entry in POLICY["routes"]
]


def ask(client: Client, name: str, what: Ask):
    host = "other.test" if name == "host-not" else f"{name}.test"
    return client.ask(what.path, host=host, method=what.method, headers=what.headers)


@pytest.mark.parametrize("name", CASES)
def test_a_condition_decides(client: Client, name: str) -> None:
    _, holding, failing = CASES[name]
    for what in holding:
        answer = ask(client, name, what)
        assert answer.version == "v2", what
        assert (answer.reason["reason"], answer.reason["rule"]) == ("rule", "it")
    for what in failing:
        answer = ask(client, name, what)
        assert answer.version == "v1", what
        assert answer.reason["reason"] == "no-key"


def test_an_address_condition_tells_callers_apart(client: Client, stranger: Client) -> None:
    assert client.ask(host="trusted.test").version == "v2"
    assert stranger.ask(host="trusted.test").version == "v1"


def test_all_conditions_of_a_rule_must_hold(client: Client) -> None:
    first, second = {"x-a": "1"}, {"cookie": "c=2"}
    assert client.ask(host="all.test", headers=first | second).version == "v2"
    assert client.ask(host="all.test", headers=first).version == "v1"
    assert client.ask(host="all.test", headers=second).version == "v1"


def test_the_first_rule_that_holds_decides(client: Client) -> None:
    staff, old = {"x-employee": "true"}, {"x-app": "1.4.0"}
    by_staff = client.ask(host="first.test", headers=staff)
    assert (by_staff.version, by_staff.reason["rule"]) == ("v2", "staff")
    by_both = client.ask(host="first.test", headers=staff | old)
    assert (by_both.version, by_both.reason["rule"]) == ("v1", "old")


def test_a_rule_changes_nothing_for_the_requests_it_does_not_hold_for(client: Client) -> None:
    """A forced caller's own side is where the share puts the key, before and after."""
    for low, version in [(0, "v2"), (500_000, "v1")]:
        user = {"x-user-id": oracle.keys_in("first", low, low + 500_000, 1)[0]}
        assert client.ask(host="first.test", headers=user).version == version
        assert client.ask(host="first.test", headers=user | {"x-employee": "true"}).version == "v2"
        assert client.ask(host="first.test", headers=user).version == version


def test_setting_headers_alone_decides_nothing(client: Client) -> None:
    marked = client.ask(host="marks.test", headers={"x-a": "1"})
    assert (marked.version, marked.received("x-marked")) == ("v1", ["yes"])
    assert marked.reason["reason"] == "no-key"
    further = client.ask(host="marks.test", headers={"x-a": "1", "x-employee": "true"})
    assert (further.version, further.received("x-marked")) == ("v2", ["yes"])
    assert client.ask(host="marks.test").received("x-marked") == []


def test_a_header_that_is_set_is_one_line_whatever_came(client: Client) -> None:
    """Lines of the caller's would reach the upstream beside it, or instead."""
    for lines in [["a"], ["a", "b"], ["yes", "b", "c"], ["", ""]]:
        headers = [("x-a", "1"), *(("x-marked", line) for line in lines)]
        answer = client.ask(host="marks.test", headers=headers)
        assert answer.received("x-marked") == ["yes"], lines


def test_a_rule_can_answer_by_itself(client: Client) -> None:
    answer = client.ask("/cart?x=1", host="refuses.test", headers={"x-app": "1.9.9"})
    assert answer.status == 426
    assert answer.response.text == GONE["body"]
    assert answer.response.headers["x-why"] == "too old"
    assert "x-shop-version" not in answer.response.headers
    assert answer.reason["rule"] == "too-old"
    assert client.ask(host="refuses.test", headers={"x-app": "2.0.0"}).status == 200


def test_an_own_answer_is_the_same_for_every_method(client: Client) -> None:
    old = {"x-app": "1.0.0"}
    for method in ["POST", "PUT", "DELETE", "OPTIONS"]:
        answer = client.ask(host="refuses.test", method=method, headers=old, body=b"x" * 1000)
        assert (answer.status, answer.response.text) == (426, GONE["body"])
    head = client.ask(host="refuses.test", method="HEAD", headers=old)
    assert (head.status, head.response.content) == (426, b"")
