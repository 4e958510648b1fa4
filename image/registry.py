"""Pushing an image to a registry, as the OCI distribution specification has it.

Credentials are those of `docker login` (`~/.docker/config.json`, or `$DOCKER_CONFIG`), with or
without a credential helper. A registry on loopback is spoken to in plain HTTP, every other one over
TLS.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from layout import MANIFEST, Bad, Image, digest

TIMEOUT_SECONDS = 60
REFERENCE = re.compile(r"(?P<host>[^/]+)/(?P<repository>[a-z0-9._/-]+):(?P<tag>\w[\w.-]{0,127})")
# Under this name every client keeps the credentials of the registry that Docker takes by default.
DEFAULT_HOSTS = {"docker.io", "index.docker.io", "registry-1.docker.io"}
DEFAULT_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True)
class Reference:
    """`host/repository:tag`."""

    host: str
    repository: str
    tag: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        found = REFERENCE.fullmatch(text)
        if not found or "." not in (host := found["host"]) and ":" not in host:
            raise Bad(f"{text!r} is no reference: write REF=HOST/REPOSITORY:TAG")
        return cls(**found.groupdict())

    @property
    def base(self) -> str:
        name = self.host.rsplit(":", 1)[0]
        plain = name in ("localhost", "[::1]") or name.startswith("127.")
        return f"{'http' if plain else 'https'}://{self.host}"


def credentials(host: str) -> str:
    """`user:password` for a registry, or nothing."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        config = json.loads((folder / "config.json").read_text())
    except FileNotFoundError:
        return ""
    key = DEFAULT_KEY if host in DEFAULT_HOSTS else host
    helper = config.get("credHelpers", {}).get(key) or config.get("credsStore")
    if helper:
        command = [f"docker-credential-{helper}", "get"]
        asked = subprocess.run(command, input=key, capture_output=True, text=True)
        if asked.returncode == 0:
            found = json.loads(asked.stdout)
            return f"{found['Username']}:{found['Secret']}"
    return base64.b64decode(config.get("auths", {}).get(key, {}).get("auth", "")).decode()


class Registry:
    """One repository of a registry."""

    def __init__(self, reference: Reference):
        self._reference = reference
        self._repository = f"{reference.base}/v2/{reference.repository}"
        self._authorization = ""

    def push(self, image: Image) -> None:
        for blob in image.blobs:
            if not self._has(digest(blob)):
                self._upload(blob)
        url = f"{self._repository}/manifests/{self._reference.tag}"
        self._ask("PUT", url, image.manifest, MANIFEST)

    def _has(self, name: str) -> bool:
        try:
            self._ask("HEAD", f"{self._repository}/blobs/{name}")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            return False
        return True

    def _upload(self, blob: bytes) -> None:
        begun = self._ask("POST", f"{self._repository}/blobs/uploads/", b"")
        place = urllib.parse.urljoin(self._reference.base, begun["location"])
        place += ("&" if "?" in place else "?") + f"digest={digest(blob)}"
        self._ask("PUT", place, blob, "application/octet-stream")

    def _ask(self, method: str, url: str, body: bytes | None = None, kind: str = "") -> dict:
        """The headers of the answer, in lower case. Asks for a token if the registry wants one."""
        for last in (False, True):
            request = urllib.request.Request(url, body, method=method)
            if kind:
                request.add_header("Content-Type", kind)
            # Not sent on to where a registry redirects.
            if self._authorization and url.startswith(self._reference.base):
                request.add_unredirected_header("Authorization", self._authorization)
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                    return {name.lower(): value for name, value in answer.headers.items()}
            except urllib.error.HTTPError as error:
                if error.code != 401 or last:
                    raise
                self._log_in(error.headers.get("WWW-Authenticate", ""))
        raise AssertionError("unreachable")

    def _log_in(self, challenge: str) -> None:
        scheme, _, rest = challenge.partition(" ")
        known = credentials(self._reference.host)
        basic = "Basic " + base64.b64encode(known.encode()).decode()
        if scheme.lower() == "basic" and known:
            self._authorization = basic
        elif scheme.lower() == "bearer":
            fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
            query = {
                "service": fields.get("service", ""),
                "scope": f"repository:{self._reference.repository}:pull,push",
            }
            url = f"{fields['realm']}?{urllib.parse.urlencode(query)}"
            request = urllib.request.Request(url)
            if known:
                request.add_header("Authorization", basic)
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                token = json.load(answer)
            self._authorization = "Bearer " + (token.get("token") or token["access_token"])
        else:
            raise Bad(f"{self._reference.host} wants a login: run `docker login` first")
