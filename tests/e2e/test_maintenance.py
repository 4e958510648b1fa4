"""Maintenance: writes are told to come later, reads go on elsewhere, and no request is lost."""

from __future__ import annotations

import copy
import time

import grpc
import pytest

from serinus_e2e import recipes
from serinus_e2e.broken import GRPC_METHOD
from serinus_e2e.client import Answer, Client
from serinus_e2e.config import Config, Upstreams
from serinus_e2e.envoy import becomes
from serinus_e2e.load import Load
from serinus_e2e.policies import Json, policy, route

(RECIPE,) = recipes.policies("maintenance")
STAFF = {"x-employee": "true"}


def switched(enabled: bool) -> Json:
    """The page's policy, on or off."""
    changed = copy.deepcopy(RECIPE)
    changed["routes"][0]["maintenance"]["enabled"] = enabled
    return changed


def edit(config: Config) -> None:
    recipes.route_to(config, "replica")


def shop(name: str, maintenance: Json, **others: object) -> Json:
    given = {"enabled": True, "readsTo": "replica"} | maintenance
    variant = {"name": "replica"}
    return route(name, variant=variant, maintenance=given, **others)  # type: ignore[arg-type]


POLICY = policy(
    shop("plain", {"retryAfter": "2026-11-21T09:00:00Z"}),
    shop("down", {"methods": ["GET", "HEAD", "POST"], "status": 599, "readsTo": "stable"}),
    shop("shut", {}, gate={"held": "shut"}),
    shop("off", {"enabled": False}),
)


def test_the_page_shows_what_happens(start, upstreams: Upstreams) -> None:
    envoy = start(switched(True), upstreams, edit)
    with Client(envoy.port, False) as client:
        recipes.follow("maintenance", 5, client)


def test_the_pages_policy_is_off_until_it_is_switched_on(
    start, upstreams: Upstreams, http2: bool
) -> None:
    envoy = start(RECIPE, upstreams, edit)
    with Client(envoy.port, http2) as client:
        for method in ["GET", "POST"]:
            assert client.ask(method=method).version == "v1"
        envoy.apply(switched(True))
        assert client.ask("/cart").version == "v2"
        assert client.ask("/healthz").version == "v1"
        assert client.ask("/cart", method="POST", headers=STAFF).version == "v1"
        assert client.ask("/cart", method="POST").status == 503
        envoy.apply(RECIPE)
        for method in ["GET", "POST"]:
            assert client.ask(method=method).version == "v1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_write_is_turned_away_with_its_body_unread(
    client: Client, http2: bool, method: str
) -> None:
    # Envoy ends the stream with its answer; this client stumbles over that in the midst of a body.
    body = b"x" * (1_000 if http2 else 100_000)
    answer = client.ask(host="plain.test", method=method, body=body)
    assert (answer.status, answer.reason["reason"]) == (503, "maintenance")
    assert answer.response.headers["retry-after"] == "Sat, 21 Nov 2026 09:00:00 GMT"
    assert answer.response.headers.get_list("content-type") == ["application/problem+json"]
    assert answer.response.json()["status"] == 503


def test_a_read_goes_to_its_variant(client: Client) -> None:
    answer = client.ask(host="plain.test")
    assert (answer.version, answer.received("x-serinus-variant")) == ("v2", ["replica"])
    head = client.ask(host="plain.test", method="HEAD")
    assert head.response.headers["x-shop-version"] == "v2"


def test_the_accepted_media_type_is_answered(client: Client) -> None:
    for accept, content_type in [
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json;q=0.5, text/*;q=0.9", "text/html; charset=utf-8"),
        ("text/html;q=0, */*", "application/problem+json"),
        ("image/png", "application/problem+json"),
        ("\xff,;;q=", "application/problem+json"),
    ]:
        headers = [("accept", accept.encode("latin-1"))]
        answer = client.ask(host="plain.test", method="POST", headers=headers)
        assert answer.response.headers["content-type"] == content_type, accept


def test_a_route_that_is_down_as_a_whole_answers_head_with_headers_alone(client: Client) -> None:
    for method in ["GET", "POST"]:
        assert client.ask(host="down.test", method=method).status == 599
    head = client.ask(host="down.test", method="HEAD")
    assert (head.status, head.response.content) == (599, b"")
    assert head.response.headers["content-type"] == "application/problem+json"
    options = client.ask(host="down.test", method="OPTIONS")
    assert (options.version, options.reason["reason"]) == ("v1", "maintenance")


def test_reads_do_not_pass_a_gate_that_is_shut(client: Client) -> None:
    answer = client.ask(host="shut.test")
    assert (answer.version, answer.reason["reason"]) == ("v1", "gate-shut")


def test_a_grpc_call_is_told_that_the_service_is_unavailable(proxy) -> None:
    options = (("grpc.default_authority", "down.test"), ("grpc.use_local_subchannel_pool", 1))
    with grpc.insecure_channel(f"127.0.0.1:{proxy.port}", options) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(GRPC_METHOD)(b"0", timeout=20)
    assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
    assert failed.value.details() == "maintenance"


def test_who_was_turned_away_counts_against_no_version(start, upstreams: Upstreams) -> None:
    def decided(route: str, variant: str) -> float | None:
        labels = ['reason="maintenance"', f'route="{route}"', f'variant="{variant}"']
        found = envoy.metrics().items()
        series = (count for name, count in found if all(label in name for label in labels))
        return next(series, None)

    envoy = start(POLICY, upstreams, edit)
    for name in ["plain", "off"]:
        assert (decided(name, "stable"), decided(name, "replica")) == (0, 0)
    with Client(envoy.port, True) as client:
        for _ in range(3):
            client.ask(host="plain.test", method="POST")
            client.ask(host="plain.test")

    def outcomes(variant: str) -> dict[str, float]:
        labels = {"route": "plain", "variant": variant}
        return envoy.counts("serinus_requests_total", "outcome", **labels)

    becomes(lambda: outcomes("stable"), {"refused": 3}, "writes were refused")
    becomes(lambda: outcomes("replica"), {"ok": 3}, "reads were fine")
    assert (decided("plain", "stable"), decided("plain", "replica")) == (3, 3)


def test_a_filter_that_observes_turns_nobody_away(start, upstreams: Upstreams, http2: bool) -> None:
    envoy = start({**switched(True), "mode": "observe"}, upstreams, edit)
    with Client(envoy.port, http2) as client:
        for method in ["GET", "POST"]:
            answer = client.ask(method=method)
            assert (answer.version, answer.reason["reason"]) == ("v1", "maintenance")


def seen(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.response.headers.get("x-shop-version", "")


def test_switching_it_on_and_off_under_load_loses_no_request(
    start, upstreams: Upstreams, http2: bool
) -> None:
    """Even users write, odd ones read; how fast it was is printed."""

    def ask(client: Client, user: str) -> Answer:
        method = "POST" if int(user) % 2 == 0 else "GET"
        answer = client.ask("/cart", method=method, explain=False)
        at.append((time.monotonic(), method, *seen(answer)))
        return answer

    at: list[tuple[float, str, int, str]] = []
    envoy = start(RECIPE, upstreams, edit)
    users = [str(number) for number in range(40)]
    with Load(envoy.port, http2, users, ask, keep=seen, wants=lambda _: True) as load:
        for enabled in [True, False, True, False]:
            load.another_round()
            began = time.monotonic()
            envoy.policy_file.write(switched(enabled))
            load.another_round()
            after = [one for one in at if one[0] >= began]
            wanted = {"POST": (503, ""), "GET": (200, "v2")}
            if not enabled:
                wanted = {"POST": (200, "v1"), "GET": (200, "v1")}
            late = [one[0] for one in after if one[2:] != wanted[one[1]]]
            took = 1000 * (max(late, default=began) - began)
            print(
                f"enabled: {enabled}: the last answer of before came {took:.0f} ms after the file"
            )
            assert after[-1][2:] == wanted[after[-1][1]]
    assert load.failures == []
    kinds = {answer for answers in load.answers.values() for answer in answers}
    assert kinds == {(200, "v1"), (200, "v2"), (503, "")}
