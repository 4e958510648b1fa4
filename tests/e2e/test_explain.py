"""Why: the reason in a header for those who may ask, in the access log and in the metrics."""

from __future__ import annotations

from serinus_e2e import oracle
from serinus_e2e.client import Client
from serinus_e2e.envoy import EcdsEnvoy, eventually
from serinus_e2e.policies import policy, route, rule

KEY = [{"cookie": "session_id"}, {"header": "x-user-id"}]
STAFF = [rule("staff", {"header": "x-employee", "exact": "true"})]
POLICY = policy(
    route("half", share="50%", key=KEY, rules=STAFF),
    route("log", share="50%"),
    *(route(name, share="100%", rules=STAFF) for name in ["counted1", "counted2"]),
)
INSIDE = oracle.keys_in("half", 0, 500_000, 1)[0]


def test_a_caller_whom_the_policy_lets_ask_is_told_why(client: Client) -> None:
    by_share = client.ask(host="half.test", headers={"x-user-id": INSIDE}).reason
    assert by_share == {
        "route": "half",
        "variant": "canary",
        "reason": "share",
        "key": "header:x-user-id",
        "slot": str(oracle.slot("half", INSIDE)),
        "share": "500000",
    }
    by_rule = client.ask(host="half.test", headers={"x-employee": "true"}).reason
    assert (by_rule["reason"], by_rule["rule"]) == ("rule", "staff")
    assert client.ask(host="elsewhere.test").reason["reason"] == "no-route"


def test_a_reason_never_has_the_keys_value(client: Client) -> None:
    answer = client.ask(host="half.test", headers={"cookie": "session_id=s3cret-value"})
    assert answer.reason["key"] == "cookie:session_id"
    assert "s3cret-value" not in str(answer.response.headers)


def test_nobody_else_is_told(client: Client, stranger: Client) -> None:
    asked = {"x-user-id": INSIDE, "x-forwarded-for": "127.0.0.1"}
    answer = stranger.ask(host="half.test", headers=asked)
    assert (answer.version, answer.reason) == ("v2", {})
    unasked = client.ask(host="half.test", headers={"x-user-id": INSIDE}, explain=False)
    assert (unasked.version, unasked.reason) == ("v2", {})


def test_upstreams_do_not_see_that_somebody_asks(client: Client) -> None:
    assert client.ask(host="half.test").received("x-serinus-explain") == []


def test_the_access_log_says_variant_and_reason(client: Client, proxy: EcdsEnvoy) -> None:
    inside = oracle.keys_in("log", 0, 500_000, 1)[0]
    outside = oracle.keys_in("log", 500_000, 1_000_000, 1)[0]
    cases = {
        f"/{client.protocol}/in": (inside, "route=log variant=canary reason=share"),
        f"/{client.protocol}/out": (outside, "route=log variant=stable reason=rest"),
        f"/{client.protocol}/nobody": ("", "route=log variant=stable reason=no-key"),
    }
    for path, (key, expected) in cases.items():
        client.ask(path, host="log.test", headers={"x-user-id": key})
        assert f'serinus="{expected}' in proxy.logged(f"GET {path} ")


def test_every_decision_is_counted_once(client: Client, proxy: EcdsEnvoy, http2: bool) -> None:
    name = "counted2" if http2 else "counted1"
    for headers in [{"x-user-id": "anna"}] * 5 + [{}] * 3 + [{"x-employee": "true"}] * 2:
        client.ask(host=f"{name}.test", headers=headers)
    expected = {("canary", "share"): 5, ("stable", "no-key"): 3, ("canary", "rule"): 2}

    def counted() -> bool:
        return all(
            proxy.decisions(route=name, variant=variant, reason=reason) == count
            for (variant, reason), count in expected.items()
        )

    eventually(counted, f"the counters say {expected}")
    assert proxy.decisions(route=name) == 10


def test_series_are_there_before_the_first_request(start, upstreams) -> None:
    envoy = start(POLICY, upstreams)
    series = envoy.metrics()
    for name in ["half", "log"]:
        for variant in ["stable", "canary"]:
            wanted = f'{{route="{name}",variant="{variant}"'
            assert [one for one in series if one.startswith(f"serinus_decisions_total{wanted}")]
    counters = {value for one, value in series.items() if one.partition("{")[0].endswith("_total")}
    assert counters == {0.0}
