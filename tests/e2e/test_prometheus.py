"""What a real Prometheus makes of Envoy's statistics, and the state document beside it."""

from __future__ import annotations

import bisect
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import pytest

from serinus_e2e import paths
from serinus_e2e.client import Client
from serinus_e2e.config import Upstreams
from serinus_e2e.envoy import EcdsEnvoy, becomes, eventually
from serinus_e2e.policies import Json, policy, route
from serinus_e2e.prometheus import Prometheus, documented_queries
from serinus_e2e.state import PAGE, State

OUTCOMES = """ok slow aborted refused error_status error_connect error_reset_before
    error_reset_after error_timeout error_no_host error_overload error_grpc""".split()
ROUTES = ["checkout", "shop"]
VARIANTS = ["stable", "canary"]
SHARE_PPM = {"stable": 600_000, "canary": 400_000}
REASONS = {
    "stable": ["no-key", "rest", "rule", "gate-shut", "gate-probing"],
    "canary": ["share", "rule"],
}
# Every second copy asks stable again, so that a few requests make pairs of both sorts.
SHADOW: Json = {
    "cluster": "shop-v2",
    "stableCluster": "shop-v1",
    "share": "100%",
    "noise": "50%",
    "maxPerSecond": 1000,
}
RESCUE: Json = {"cluster": "shop-v1", "failures": ["timeout"]}
POLICY = policy(
    route("checkout", share="40%"),
    route("shop", share="40%", shadow=SHADOW, rescue=RESCUE),
    page=PAGE,
)
RESCUES = "answered failed not-sent limited body left"
SHADOW_SERIES = {
    ("calls_total", "outcome"): "not-sent reset blocked failed answered",
    ("skipped_total", "reason"): """shadow upgrade method when credentials conditional malformed
        body in-flight rate bytes back-off""",
    ("raw_pairs_total", "outcome"): "equal different",
    ("noise_pairs_total", "outcome"): "equal different",
    ("not_compared_total", "reason"): """not-sent blocked too-large slow primary expired bytes""",
}
DURATION = "serinus_request_duration_milliseconds"

# Users of the load, and the delays that the shop is asked for: one of the busy wide range each,
# so that neighbouring ranks are close together and dwarf what the way there takes.
USERS = 800
DELAYS_MS = range(200, 1000)
THREADS = 40
# Every so many answers of the canary is an error.
SHOP_ROUNDS = 2
SHOP_REQUESTS = 100
ERROR_EVERY = 10


@dataclass
class Load:
    """Asks the route `checkout` once for each user, and times the answers itself."""

    envoy: EcdsEnvoy
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    errors: int = 0

    def run(self) -> None:
        self.milliseconds = {variant: [] for variant in VARIANTS}
        self._lock = threading.Lock()
        parts = [range(first, USERS, THREADS) for first in range(THREADS)]
        threads = [threading.Thread(target=self._ask_for, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask_for(self, users: range) -> None:
        with Client(self.envoy.port, True) as client:
            for user in users:
                self._ask(client, user)

    def _ask(self, client: Client, user: int) -> None:
        # Spread over the users, so that both variants and all threads get delays of all lengths.
        delay = DELAYS_MS[user * 357 % len(DELAYS_MS)]
        began = time.perf_counter()
        answer = client.ask(
            f"/after/{delay}", host="checkout.test", headers={"x-user-id": f"user-{user}"}
        )
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200
        with self._lock:
            self.milliseconds[answer.reason["variant"]].append(took)

    def percentile(self, variant: str, part: float) -> float:
        took = sorted(self.milliseconds[variant])
        return took[math.ceil(part * len(took)) - 1]


@dataclass
class Busy:
    """An Envoy that has had traffic, and the Prometheus that watched."""

    envoy: EcdsEnvoy
    prometheus: Prometheus
    load: Load


@pytest.fixture(scope="module")
def busy(
    envoy_version: str, broken: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Busy]:
    folder = tmp_path_factory.mktemp("busy")
    upstreams = Upstreams(broken["http1"], broken["http1"])
    with (
        EcdsEnvoy(envoy_version, folder, upstreams, POLICY) as envoy,
        Prometheus(folder, envoy) as prometheus,
    ):
        load = Load(envoy)
        load.run()
        has_durations(prometheus, "checkout", USERS)
        # Envoy shows a histogram's buckets once they have values: a rate needs a second round.
        for shown in range(1, SHOP_ROUNDS + 1):
            ask_shop(envoy)
            has_durations(prometheus, "shop", shown * SHOP_REQUESTS)
        yield Busy(envoy, prometheus, load)
        envoy.check_unhurt()


def has_durations(prometheus: Prometheus, route: str, count: int) -> None:
    query = f"sum({DURATION}_count{{route='{route}'}})"
    eventually(
        lambda: [sample.value for sample in prometheus.query(query)] == [count],
        f"Prometheus has {count} durations of {route}",
        20,
    )


def ask_shop(envoy: EcdsEnvoy) -> None:
    """A little of everything on the other route."""
    with Client(envoy.port, False) as client:
        for user in range(SHOP_REQUESTS):
            path = "/status/503" if user % ERROR_EVERY == 0 else "/status/200"
            client.ask(path, host="shop.test", headers={"x-user-id": f"user-{user}"})


def expected_series() -> dict[tuple[str, ...], set[float] | None]:
    """Name and labels of every series of POLICY, and what it may be before any request."""
    nothing = {0.0}
    series: dict[tuple[str, ...], set[float] | None] = {
        ("serinus_policy_rejected",): nothing,
        ("serinus_policy_age_seconds",): None,
        ("serinus_host_errors_total",): nothing,
        ("serinus_dropped_total",): nothing,
    }
    for name, variant in product(ROUTES, VARIANTS):
        labels = (f"route={name}", f"variant={variant}")
        for outcome in OUTCOMES:
            series["serinus_requests_total", f"outcome={outcome}", *labels] = nothing
        for reason in REASONS[variant]:
            series["serinus_decisions_total", f"reason={reason}", *labels] = nothing
        for count in ["attempts_total", "failing_callers", "share_seen_ppm"]:
            series[f"serinus_{count}", *labels] = nothing
        series[f"{DURATION}_count", *labels] = nothing
        series[f"{DURATION}_sum", *labels] = nothing
        series["serinus_share_asked_ppm", *labels] = {float(SHARE_PPM[variant])}
    for word in RESCUES.split():
        labels = (f"outcome={word}", "route=shop", "variant=canary")
        series["serinus_rescues_total", *labels] = nothing
    for (name, label), words in SHADOW_SERIES.items():
        for word in words.split():
            series[f"serinus_shadow_{name}", f"{label}={word}", "route=shop"] = nothing
    for count in ["confirming_total", "bodies_not_compared_total"]:
        series[f"serinus_shadow_{count}", "route=shop"] = nothing
    for state in ["pass", "hold", "fail"]:
        verdict = {1.0} if state == "hold" else nothing
        series["serinus_shadow_verdict", "route=shop", f"state={state}"] = verdict
    return series


def test_every_series_is_there_before_any_request(start, tmp_path, upstreams: Upstreams) -> None:
    envoy = start(POLICY, upstreams)
    with Prometheus(tmp_path, envoy) as prometheus:
        expected = expected_series()

        def seen() -> dict[tuple[str, ...], float]:
            samples = prometheus.query('{__name__=~"serinus_.*"}')
            return {
                (
                    sample.name,
                    *sorted(
                        f"{label}={value}"
                        for label, value in sample.labels.items()
                        if label not in ("__name__", "instance", "job")
                    ),
                ): sample.value
                for sample in samples
            }

        def missing() -> set[tuple[str, ...]]:
            return expected.keys() - seen().keys()

        becomes(missing, set(), "no series is missing")
        values = seen()
        wrong = {
            series: values[series]
            for series, allowed in expected.items()
            if allowed is not None and values[series] not in allowed
        }
        assert wrong == {}


def test_the_documented_queries_answer(busy: Busy) -> None:
    queries = documented_queries(paths.ROOT / "docs/metrics.md")
    assert queries, "docs/metrics.md has no ```promql block"
    for query in queries:
        samples = busy.prometheus.query(query)
        assert samples, f"no answer to {query}"
        wrong = [
            sample
            for sample in samples
            if math.isnan(sample.value) and sample.labels.get("route", "shop") in ROUTES
        ]
        assert not wrong, f"{query}: {wrong}"


def test_prometheus_has_the_counts_of_the_load(busy: Busy) -> None:
    query = 'sum by (variant, outcome) (serinus_requests_total{route="checkout"}) > 0'
    counted = {
        sample.labels["variant"]: sample.value
        for sample in busy.prometheus.query(query)
        if sample.labels["outcome"] in ("ok", "slow")
    }
    # Some may be slow by then, in rows of their own.
    assert set(counted) == set(VARIANTS)
    total = busy.prometheus.query('sum(serinus_requests_total{route="checkout"})')
    assert [sample.value for sample in total] == [USERS]
    failed = busy.prometheus.query(
        'sum(serinus_requests_total{route="shop",outcome="error_status"})'
    )
    assert [sample.value for sample in failed] == [SHOP_ROUNDS * SHOP_REQUESTS / ERROR_EVERY]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("part", [0.5, 0.95, 0.99])
def test_the_documents_percentiles_are_those_of_the_load(
    busy: Busy, variant: str, part: float
) -> None:
    told = State(busy.envoy).variant("checkout", variant).percentiles[f"p{part * 100:.0f}"]
    assert told == pytest.approx(busy.load.percentile(variant, part), rel=0.05)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("part", [0.5, 0.95, 0.99])
def test_prometheus_percentiles_are_within_a_bucket(busy: Busy, variant: str, part: float) -> None:
    buckets = f'{DURATION}_bucket{{route="checkout",variant="{variant}"}}'
    bounds = sorted(float(sample.labels["le"]) for sample in busy.prometheus.query(buckets))
    (told,) = busy.prometheus.query(f"histogram_quantile({part}, {buckets})")
    own = busy.load.percentile(variant, part)
    apart = abs(bisect.bisect_left(bounds, told.value) - bisect.bisect_left(bounds, own))
    assert apart <= 1, f"{told.value} and {own} in {bounds}"


def test_the_document_and_prometheus_have_the_same_counts(busy: Busy) -> None:
    for name, variant in product(ROUTES, VARIANTS):
        labels = {"route": name, "variant": variant}
        counted = busy.envoy.counts("serinus_requests_total", "outcome", **labels)
        assert State(busy.envoy).variant(name, variant).outcomes == counted


def test_the_share_seen_is_told_beside_the_one_asked(busy: Busy) -> None:
    ask_seen = {
        kind: busy.prometheus.query(f'serinus_share_{kind}_ppm{{route="checkout"}}')
        for kind in ["asked", "seen"]
    }
    for kind, samples in ask_seen.items():
        told = {sample.labels["variant"]: sample.value for sample in samples}
        got = {variant: len(busy.load.milliseconds[variant]) / USERS * 1e6 for variant in VARIANTS}
        # Draws fade, by half in ten minutes.
        assert told == (SHARE_PPM if kind == "asked" else pytest.approx(got, rel=0.1)), kind
