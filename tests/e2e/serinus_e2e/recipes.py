"""The pages of docs/recipes/: their policies, and what they show of a terminal.

A policy is a block of YAML with `routes` or `flags`; a terminal is a block `console` with commands
after `$`, of which `curl -i` is done here as curl would, to the proxy of a test.
"""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from . import paths
from .client import Answer, Client
from .config import Config, connection_manager
from .policies import Json

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What no two answers have in common.
_OWN = {"date", "server", "x-envoy-upstream-service-time"}
PAGES = paths.ROOT / "docs/recipes"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a language in a page."""
    text = (PAGES / f"{page}.md").read_text()
    return [block for name, block in _BLOCK.findall(text) if name == language]


def policies(page: str) -> list[Any]:
    """The policies of a page, in order."""
    read = (yaml.safe_load(block) for block in blocks(page, "yaml"))
    return [one for one in read if isinstance(one, dict) and {"routes", "flags"} & one.keys()]


def shown(page: str) -> Iterator[tuple[list[str], str]]:
    """The commands of a page's terminals, and what each printed."""
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.splitlines(keepends=True)
            command = lines.pop(0)
            while command.endswith("\\\n"):
                command = command.removesuffix("\\\n") + lines.pop(0)
            if command.startswith("curl "):
                yield shlex.split(command), "".join(lines).strip()


def with_share(policy: Json, share: str, **gate: object) -> Json:
    """A page's policy with this share, and with other settings of the gate."""
    changed = copy.deepcopy(policy)
    route = changed["routes"][0]
    route["variants"][0]["share"] = share
    route["gate"] |= gate
    return changed


def follow(page: str, count: int, client: Client) -> None:
    """Runs the commands of a page, so many of them: they print what it says."""
    commands = list(shown(page))
    assert len(commands) == count
    for command, output in commands:
        assert curl(client, command) == output, command


def curl(client: Client, arguments: list[str]) -> str:
    """What `curl -i` prints of the answer, but for what is never the same.

    A `| grep TEXT` at the end keeps the lines that have it.
    """
    wanted = ""
    if "|" in arguments:
        place = arguments.index("|")
        arguments, wanted = arguments[:place], arguments[-1]
    _, *rest = arguments
    method, headers, path, host = "", [], "", "shop.example.com"
    body = None
    while rest:
        match rest.pop(0):
            case "-X":
                method = rest.pop(0)
            case "-I":
                method = "HEAD"
            case "-H":
                name, _, value = rest.pop(0).partition(": ")
                headers.append((name, value))
            case "-d":
                method, body = method or "POST", rest.pop(0).encode()
            case option if option.startswith("-"):
                pass
            case url:
                path = re.sub("^[a-z0-9.]+:10000", "", url)
    if not any(name == "accept" for name, _ in headers):
        headers.append(("accept", "*/*"))
    answer = client.ask(
        path, host=host, method=method or "GET", headers=headers, explain=False, body=body
    )
    lines = printed(answer).splitlines()
    return "\n".join(line for line in lines if wanted in line)


def printed(answer: Answer) -> str:
    """An answer as `curl -i` prints it."""
    response = answer.response
    lines = [f"HTTP/1.1 {response.status_code} {response.reason_phrase}"]
    headers = response.headers.multi_items()
    lines += [f"{name}: {value}" for name, value in headers if name not in _OWN]
    return "\n".join([*lines, "", response.text]).strip()


def path_to(config: Config, prefix: str) -> None:
    """Sends requests for paths with a prefix where ecds.yaml sends those of its rewritten path."""
    manager = connection_manager(config)
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            if "path_separated_prefix" in route["match"]:
                route["match"]["path_separated_prefix"] = prefix


def route_to(config: Config, variant: str) -> None:
    """Sends the variant's requests where ecds.yaml sends those of the canary."""
    manager = connection_manager(config)
    for host in manager["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            for header in route["match"].get("headers", []):
                header["string_match"]["exact"] = variant
