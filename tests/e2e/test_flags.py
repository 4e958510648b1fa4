"""Feature flags: told upstream, sticky, switched off for everybody, and shed under load."""

from __future__ import annotations

import time

from serinus_e2e import oracle, recipes
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import Envoy, becomes, eventually
from serinus_e2e.load import Load
from serinus_e2e.policies import Json, policy, route, rule
from serinus_e2e.quick import QuickShop
from serinus_e2e.state import PAGE, State
from serinus_e2e.traffic import Traffic

(RECIPE,) = recipes.policies("flags")
USERS = [f"user-{number}" for number in range(200)]
STAFF = {"x-employee": "true"}


def flag(name: str, share: str = "5%", **others: object) -> Json:
    """A flag that is on for a share of the users."""
    values = [{"value": "on", "share": share}]
    key = [{"header": "x-user-id"}]
    return {"name": name, "key": key, "default": "off", "values": values, **others}


STAFF_ON = rule("staff", {"header": "x-employee", "exact": "true"}, {"value": "on"})
POLICY = policy(
    route("shop", share="100%"),
    flags=[flag("rec_engine", rules=[STAFF_ON]), flag("new-ui", "50%")],
    report={"baggage": True},
    page=PAGE,
)


def flags(answer: Answer) -> str:
    """What the shop was told; in one line."""
    (line,) = answer.received("x-serinus-flags")
    return line


def test_the_page_shows_what_happens(start, upstreams: Upstreams) -> None:
    envoy = start(RECIPE, upstreams)
    with Client(envoy.port, False) as client:
        recipes.follow("flags", 3, client)


def test_each_user_has_the_value_of_its_slot_on_every_worker(proxy, http2: bool) -> None:
    for _ in range(4):
        with Client(proxy.port, http2) as client:
            for user in USERS[::4]:
                on = {
                    name: "on" if oracle.slot(f"flag:{name}", user) < share else "off"
                    for name, share in [("rec_engine", 50_000), ("new-ui", 500_000)]
                }
                answer = client.ask(host="other.test", headers={"x-user-id": user})
                told = f'rec_engine="{on["rec_engine"]}", new-ui="{on["new-ui"]}"'
                assert flags(answer) == told


def test_a_rule_decides_first_and_a_caller_says_nothing(client: Client) -> None:
    forged = [
        ("x-serinus-flags", 'rec_engine="on"'),
        ("X-Serinus-Flags", 'admin="on"'),
        ("baggage", "a=1,serinus=rec_engine=on"),
    ]
    nobody = client.ask(host="other.test", headers=forged)
    assert flags(nobody) == 'rec_engine="off", new-ui="off"'
    assert nobody.received("baggage") == ["a=1,serinus=rec_engine=off.new-ui=off"]
    staff = client.ask(host="other.test", headers=[*forged, *STAFF.items()])
    assert flags(staff) == 'rec_engine="on", new-ui="off"'
    assert staff.reason["flags"] == "rec_engine:on:rule,new-ui:off:no-key"


def test_a_route_and_its_flags_go_together(client: Client) -> None:
    answer = client.ask(host="shop.test", headers={"x-user-id": "user-1", **STAFF})
    assert answer.version == "v2"
    (line,) = answer.received("baggage")
    assert line.startswith("serinus=shop:canary.rec_engine=on.new-ui=")


def test_flags_are_counted_by_value_from_0_on(start, upstreams: Upstreams) -> None:
    envoy = start(POLICY, upstreams)

    def counted() -> dict[str, float]:
        found = envoy.metrics().items()
        return {
            name: count for name, count in found if "flag_decisions" in name and "rec_eng" in name
        }

    assert sorted(counted().values()) == [0, 0]
    with Client(envoy.port, True) as client:
        for _ in range(3):
            client.ask(host="other.test", headers=STAFF)
        client.ask(host="other.test")
    becomes(lambda: sorted(counted().values()), [1, 3], "the flags are counted")
    told = State(envoy).document["flags"][0]
    values = {"off": 1, "on": 3}
    assert told == {"flag": "rec_engine", "values": values, "shed": None, "expired": None}


def test_a_filter_that_observes_tells_nobody(start, upstreams: Upstreams, http2: bool) -> None:
    envoy = start({**POLICY, "mode": "observe"}, upstreams)
    with Client(envoy.port, http2) as client:
        answer = client.ask(host="other.test", headers=STAFF)
        assert answer.received("x-serinus-flags") == []
        assert answer.reason["flags"].startswith("rec_engine:on:rule")


def test_an_old_flag_is_a_warning_and_acts_as_before(start, upstreams: Upstreams) -> None:
    old = policy(flags=[flag("old", "100%", expires="2020-02-01")], page=PAGE)
    envoy = start(old, upstreams)
    assert "flags[0].expires: warning: the flag is past its day" in envoy.log
    assert State(envoy).document["flags"][0]["expired"] is True
    with Client(envoy.port, False) as client:
        assert flags(client.ask(headers={"x-user-id": "anna"})) == 'old="on"'


def test_a_flag_is_off_for_everybody_at_once(start, upstreams: Upstreams, http2: bool) -> None:
    """How fast that was is printed."""

    def at(share: str) -> Json:
        return policy(flags=[flag("f", share)])

    def ask(client: Client, user: str) -> Answer:
        answer = client.ask(headers={"x-user-id": user}, explain=False)
        seen.append((time.monotonic(), flags(answer)))
        return answer

    seen: list[tuple[float, str]] = []
    envoy = start(at("100%"), upstreams)
    with Load(envoy.port, http2, USERS[:40], ask) as load:
        for share, value in [("0%", "off"), ("100%", "on"), ("0%", "off")]:
            load.another_round()
            began = time.monotonic()
            envoy.policy_file.write(at(share))
            load.another_round()
            late = [one for one, line in seen if one >= began and line != f'f="{value}"']
            took = 1000 * (max(late, default=began) - began)
            print(f"{value} for everybody: the last other answer came {took:.0f} ms after the file")
            assert seen[-1][1] == f'f="{value}"'
    assert load.failures == []


LIMITS = [
    {"signal": "p99", "above": "150ms", "for": "2s", "minRequests": 50},
    {"signal": "errorRate", "above": "20%", "for": "2s", "minRequests": 50},
]
SHED: Json = {"route": "shop", "limits": LIMITS, "restoreAfter": "3s"}


def on_all_workers(envoy: Envoy) -> set[str]:
    """The flag and its reason on twenty connections in a row."""
    told = set()
    for _ in range(20):
        with Client(envoy.port, False) as client:
            answer = client.ask(host="else.test", headers={"x-user-id": "anna"})
            told.add(answer.reason["flags"])
    return told


def test_a_flag_gives_way_while_a_route_is_slow_or_fails(start) -> None:
    """How long it took is printed."""
    # The other route's version is always well, and tells quickly what it was told.
    flagged = [flag("rec", "100%", shedWhen=SHED)]
    shedding = policy(route("shop"), route("else", share="100%"), flags=flagged, page=PAGE)

    def become(told: str, shed: bool, behaviour: dict[str, float]) -> None:
        began = time.monotonic()
        v1.behave(**behaviour)
        becomes(lambda: on_all_workers(envoy), {told}, "all workers know", 30)
        print(f"{behaviour or 'well'}: {told} after {time.monotonic() - began:.1f} s")
        gauge = 'serinus_flag_shed{flag="rec"}'
        eventually(lambda: envoy.metrics()[gauge] == shed, "the gauge is told")
        assert State(envoy).document["flags"][0]["shed"] is shed

    with QuickShop("v1") as v1, QuickShop("v2") as v2:
        envoy = start(shedding, Upstreams(v1.port, v2.port))
        with Traffic(envoy.port, "shop.test", 200):
            time.sleep(4)
            assert on_all_workers(envoy) == {"rec:on:share"}
            for bad in [{"after": 0.4}, {"fail": 0.5}]:
                become("rec:off:shed", True, bad)
                become("rec:on:share", False, {})
            become("rec:off:shed", True, {"after": 0.4})
            # Another policy changes nothing about that.
            envoy.apply(shedding | {"report": {"hosts": False}})
            assert on_all_workers(envoy) == {"rec:off:shed"}
    for said in ["flag rec is shed: p99 of shop", "flag rec is shed: errorRate of shop"]:
        assert said in envoy.log
    assert "flag rec is itself again" in envoy.log
