"""Logs and traces: what the filter decided and what came of it, and nobody else's trace hurt."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from serinus_e2e import paths
from serinus_e2e.client import Client
from serinus_e2e.collector import Collector
from serinus_e2e.config import Upstreams, render
from serinus_e2e.envoy import EcdsEnvoy, Envoy
from serinus_e2e.policies import policy, route

POLICY = policy(route("checkout", share="100%"), route("search", share="0%"))
USER = {"x-user-id": "anna"}
# Of the two Envoys here one can tag spans with filter state; see tracing.yaml.
FILTER_STATE_TAG = "- {tag: serinus, value:"
CAN_TAG_FILTER_STATE = {"1.40.0": True, "1.36.4": False}
STAFF, OLD_APP = {"x-employee": "true"}, {"x-app-version": "1.9.0"}


def fields(text: str) -> dict[str, str]:
    """The pairs of a log's field of the filter."""
    return dict(pair.split("=", 1) for pair in text.split())


def field_of(line: str) -> str:
    """The filter's field in a line of the text format."""
    return line.rpartition('serinus="')[2].rstrip().rstrip('"')


@pytest.mark.parametrize(
    ("name", "decided"),
    [
        ("checkout", {"route": "checkout", "variant": "canary", "reason": "share"}),
        ("search", {"route": "search", "variant": "stable", "reason": "rest"}),
    ],
)
def test_a_text_line_says_what_was_decided_and_what_came_of_it(
    proxy: EcdsEnvoy, client: Client, name: str, decided: dict[str, str]
) -> None:
    path = f"/{secrets.token_hex(8)}"
    client.ask(path, host=f"{name}.test", headers=USER)
    said = fields(field_of(proxy.logged(path)))
    assert decided.items() <= said.items()
    assert (said["gate"], said["outcome"]) == ("open", "ok")


def new_trace() -> tuple[str, dict[str, str]]:
    """A trace's id, and the headers of a caller that is in it."""
    trace = secrets.token_hex(16)
    return trace, {
        "traceparent": f"00-{trace}-{secrets.token_hex(8)}-01",
        "tracestate": "vendor=opaque,other=1",
        "baggage": "user=anna,serverNode=DF%2028",
    }


def test_the_trace_context_arrives_as_it_was_sent(client: Client) -> None:
    """Without a tracer in Envoy nobody has a right to change it."""
    for host in ["checkout.test", "search.test", "unrouted.test"]:
        _, headers = new_trace()
        answer = client.ask(host=host, headers=headers | USER)
        for name, value in headers.items():
            assert answer.received(name) == [value], name


@pytest.fixture(scope="module")
def traced(
    envoy_version: str, upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Envoy, Collector]]:
    """tracing.yaml, with the filter-state tag where Envoy knows it, and a collector."""
    uncomment = FILTER_STATE_TAG if CAN_TAG_FILTER_STATE[envoy_version] else ""
    folder: Path = tmp_path_factory.mktemp("traced")
    with Collector() as collector:
        ports = Upstreams(upstreams.v1, upstreams.v2, collector.port)
        config = render("tracing.yaml", folder, ports, uncomment=uncomment)
        with Envoy(envoy_version, folder, config) as envoy:
            yield envoy, collector
            envoy.check_unhurt()


CALLERS = [(STAFF, "canary", "v2"), (OLD_APP, "stable", "v1")]


@pytest.mark.parametrize(("caller", "variant", "version"), CALLERS)
def test_a_span_says_which_variant_answered(
    traced: tuple[Envoy, Collector],
    http2: bool,
    caller: dict[str, str],
    variant: str,
    version: str,
) -> None:
    envoy, collector = traced
    trace, headers = new_trace()
    with Client(envoy.port, http2) as client:
        answer = client.ask("/cart", headers=headers | caller)
    assert answer.version == version
    # Envoy is a part of the trace: the upstream sees Envoy's span, of the same trace.
    (parent,) = answer.received("traceparent")
    assert parent.split("-")[1] == trace
    assert answer.received("baggage") == [headers["baggage"]]
    tags = collector.span(trace)["tags"]
    assert tags["serinus.variant"] == variant


def test_a_span_can_carry_what_was_decided(
    traced: tuple[Envoy, Collector], envoy_version: str
) -> None:
    envoy, collector = traced
    trace, headers = new_trace()
    with Client(envoy.port, False) as client:
        client.ask("/cart", headers=headers | STAFF)
    tags = collector.span(trace)["tags"]
    if CAN_TAG_FILTER_STATE[envoy_version]:
        said = fields(tags["serinus"])
        assert (said["route"], said["variant"], said["reason"]) == ("shop", "canary", "rule")
    else:
        assert "serinus" not in tags


@pytest.mark.parametrize(("caller", "variant", "version"), CALLERS)
def test_a_json_line_says_what_was_decided_and_what_came_of_it(
    traced: tuple[Envoy, Collector],
    http2: bool,
    caller: dict[str, str],
    variant: str,
    version: str,
) -> None:
    envoy, _ = traced
    path = f"/{secrets.token_hex(8)}"
    trace, headers = new_trace()
    with Client(envoy.port, http2) as client:
        assert client.ask(path, headers=headers | caller).version == version
    line = json.loads(envoy.logged(path))
    said = fields(line["serinus"])
    assert (said["route"], said["variant"], said["reason"]) == ("shop", variant, "rule")
    assert said["outcome"] == "ok"
    assert (line["status"], line["method"], line["path"]) == (200, "GET", path)
    assert line["traceparent"].split("-")[1] == trace


def test_tracing_and_the_other_examples_have_the_same_policy() -> None:
    """So that a user who takes tracing.yaml instead loses nothing but what it is about."""
    lines = {
        name: (paths.ENVOY_CONFIG / name).read_text().partition("http_filters:")[2]
        for name in ["tracing.yaml", "header-routes.yaml"]
    }
    assert lines["tracing.yaml"].startswith(lines["header-routes.yaml"].rstrip())
