"""Resources that are wrong: who refuses them, and what the others do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import pytest
import yaml

from serinus_e2e import paths
from serinus_e2e.client import Client
from serinus_e2e.envoy import becomes, eventually
from serinus_mesh import cluster, places
from serinus_mesh.kube import Refused, Resource
from serinus_mesh.mesh import CHANGE_SECONDS, INSIDE, OUTSIDE, Mesh, page, policy_of


def spec(**fields: object) -> Callable[[Resource], None]:
    return lambda resource: resource["spec"].update(fields)


# What is wrong with the WasmPlugin, and what the API server says.
REFUSED: dict[str, tuple[Callable[[Resource], None], str]] = {
    "unknown field": (spec(failPolicy="FAIL_OPEN"), "unknown field"),
    "field of another kind": (spec(match=[{"context": "GATEWAY"}]), "unknown field"),
    "unknown strategy": (spec(failStrategy="FAIL_SAFE"), "Unsupported value"),
    "unknown phase": (spec(phase="ROUTER"), "Unsupported value"),
    "no image": (lambda resource: resource["spec"].pop("url"), 'missing required field "url"'),
    "unknown scheme": (spec(url="ftp://example.com/serinus"), "url must have schema one of"),
    "digest in the field's wrong form": (spec(sha256="sha256:00"), "should match"),
    "policy as text": (spec(pluginConfig='{"name": "shop"}'), "must be of type object"),
    "policy as a list": (spec(pluginConfig=[]), "must be of type object"),
    "two ways to say where": (
        spec(targetRefs=[{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g"}]),
        "only one of targetRefs or selector",
    ),
}


def test_the_api_server_refuses_wrong_wasmplugins(mesh: Mesh, proved) -> None:
    for name, (edit, said) in REFUSED.items():
        plugin = mesh.plugin()
        plugin["metadata"]["name"] = "wrong"
        edit(plugin)
        with pytest.raises(Refused, match=said):
            mesh.kube.dry_run(plugin)
            pytest.fail(f"taken: {name}")
    proved(f"API server: {len(REFUSED)} wrong WasmPlugins refused, each with its reason")


@pytest.mark.usefixtures("restored")
def test_a_policy_that_only_the_filter_can_judge_is_refused_by_the_filter(
    mesh: Mesh, gateway: Client
) -> None:
    """The API server takes any object as a policy."""
    plugin = mesh.plugin()
    policy_of(plugin)["nonsense"] = 65536
    mesh.kube.apply(plugin)
    eventually(lambda: page(gateway, "healthz").status == 503, "it is refused", CHANGE_SECONDS)
    assert gateway.ask(headers=INSIDE).version == "v2"
    assert "nonsense" in mesh.gateway.log


@pytest.mark.usefixtures("restored")
def test_a_plugin_for_inbound_requests_does_nothing_at_a_gateway(
    mesh: Mesh, gateway: Client, proved
) -> None:
    plugin = mesh.plugin()
    plugin["spec"]["match"] = [{"mode": "SERVER"}]
    mesh.kube.apply(plugin)
    eventually(lambda: gateway.ask(headers=INSIDE).version == "v1", "it is out", CHANGE_SECONDS)
    assert gateway.ask(headers=INSIDE).status == 200
    proved("mode SERVER at a gateway: the filter is not there, all stable")


def envoyfilter(name: str) -> Resource:
    """A shipped EnvoyFilter, with the filter where it lies here."""
    resource = yaml.safe_load((places.ISTIO / f"envoyfilter/{name}.yaml").read_text())
    for patch in resource["spec"]["configPatches"]:
        if patch["applyTo"] == "HTTP_FILTER":
            wasm = patch["patch"]["value"]["typed_config"]["config"]
            wasm["vm_config"]["code"]["local"]["filename"] = str(paths.wasm())
    return resource


def wasm_config(resource: Resource) -> Resource:
    return resource["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]["config"]


@pytest.fixture
def without_plugin(mesh: Mesh, gateway: Client, restored: None) -> Iterator[list[Resource]]:
    """The gateway without its WasmPlugin; what is put into the list is deleted afterwards."""
    mesh.kube.delete(mesh.plugin())
    eventually(lambda: gateway.ask(headers=INSIDE).version == "v1", "it is out", CHANGE_SECONDS)
    added: list[Resource] = []
    yield added
    mesh.kube.delete(*added)


def test_the_envoyfilter_does_what_the_wasmplugin_does(
    mesh: Mesh, gateway: Client, without_plugin: list[Resource], proved
) -> None:
    without_plugin.append(envoyfilter("gateway"))
    mesh.kube.apply(*without_plugin)
    staff = {"x-employee": "true"}
    eventually(lambda: gateway.ask(headers=staff).version == "v2", "it is in", CHANGE_SECONDS)
    proved("EnvoyFilter form: the same decisions, with FAIL_RELOAD and a back-off of 10 ms")


def test_a_struct_in_an_envoyfilter_is_refused_with_the_sentence_that_helps(
    mesh: Mesh, gateway: Client, without_plugin: list[Resource], proved
) -> None:
    wrong = envoyfilter("gateway")
    wasm_config(wrong)["configuration"] = {
        "@type": "type.googleapis.com/google.protobuf.Struct",
        "value": {"name": "shop"},
    }
    without_plugin.append(wrong)
    mesh.kube.apply(wrong)

    def said() -> str:
        lines = (line for line in mesh.gateway.log.splitlines() if "google.protobuf.Struct" in line)
        return next((line for line in lines if "policy refused" in line), "")

    line = eventually(said, "the filter says what to write instead", CHANGE_SECONDS)
    assert "StringValue" in line
    assert gateway.ask(headers=INSIDE).version == "v1"
    proved("Struct in an EnvoyFilter: refused, the log says to write a StringValue")


def test_an_envoyfilter_that_points_nowhere_does_nothing(
    mesh: Mesh, gateway: Client, without_plugin: list[Resource], proved
) -> None:
    """No error anywhere: why the manifests say to prefer the WasmPlugin."""
    nowhere = envoyfilter("gateway")
    match = nowhere["spec"]["configPatches"][0]["match"]
    match["listener"]["filterChain"]["filter"]["subFilter"]["name"] = "envoy.filters.http.none"
    marked = envoyfilter("guard")
    marked["spec"]["configPatches"][0]["patch"]["value"] = {
        "response_headers_to_add": [{"header": {"key": "x-seen", "value": "1"}}]
    }
    without_plugin += [nowhere, marked]
    mesh.kube.apply(*without_plugin)
    # Both reach the proxy together.
    eventually(
        lambda: gateway.ask(headers=INSIDE).response.headers.get("x-seen") == "1",
        "the other EnvoyFilter is in force",
        CHANGE_SECONDS,
    )
    assert gateway.ask(headers={"x-employee": "true"}).version == "v1"
    proved("EnvoyFilter that points nowhere: nothing happens, and nobody says so")


# A caller on the machine, one of a private network, and one of the internet; see inside.sh.
SOURCES = ["127.0.0.1", "10.1.2.3", "203.0.113.5"]


def test_the_guard_keeps_callers_out_while_the_plugin_is_missing(
    without_plugin: list[Resource], mesh: Mesh, proved
) -> None:
    # With a key whose draw is stable: one without any may be drawn to the canary.
    forged = {**OUTSIDE, "x-serinus-variant": "canary"}

    def reached() -> list[str]:
        versions = []
        for source in SOURCES:
            with Client(cluster.GATEWAY_PORT, http2=False, source=source) as client:
                versions.append(client.ask(headers=forged).version)
        return versions

    assert reached() == ["v2"] * 3, "without guard and plugin, a way in"
    without_plugin.append(envoyfilter("guard"))
    mesh.kube.apply(*without_plugin)
    becomes(reached, ["v1"] * 3, "the guard is in force", CHANGE_SECONDS)
    mesh.kube.apply(mesh.plugin())
    with mesh.client() as client:
        eventually(
            lambda: client.ask(headers=INSIDE).version == "v2",
            "the filter beside the guard",
            CHANGE_SECONDS,
        )
    assert reached() == ["v1"] * 3
    proved("guard EnvoyFilter: nobody names a variant while the plugin is missing")


def test_the_trafficextension_does_what_the_wasmplugin_does(
    mesh: Mesh, gateway: Client, without_plugin: list[Resource], proved
) -> None:
    shipped = places.ISTIO / "trafficextension/gateway.yaml"
    extension = copy.deepcopy(yaml.safe_load(shipped.read_text()))
    extension["spec"]["wasm"]["url"] = f"oci://{mesh.image}"
    without_plugin.append(extension)
    mesh.kube.apply(extension)
    staff = {"x-employee": "true"}
    eventually(lambda: gateway.ask(headers=staff).version == "v2", "it is in", CHANGE_SECONDS)
    proved("TrafficExtension form: the same decisions")
