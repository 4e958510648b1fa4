"""A real Prometheus that scrapes an Envoy each second."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from . import paths
from .child import end
from .envoy import Envoy, eventually

# It is ready in about a second; a machine that compiles beside it may need far longer.
START_SECONDS = 30.0
JOB = "envoy"


@dataclass(frozen=True)
class Sample:
    """One series and its value at the moment of the query."""

    labels: dict[str, str]
    value: float

    @property
    def name(self) -> str:
        return self.labels.get("__name__", "")


class Prometheus:
    """A running Prometheus. Use it as a context manager."""

    def __init__(self, folder: Path, envoy: Envoy):
        self._folder = folder
        self._envoy = envoy

    def __enter__(self) -> Self:
        program = paths.prometheus()
        (self._folder / "prometheus.json").write_text(json.dumps(self._config()))
        with open(self._folder / "prometheus.log", "wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder / 'prometheus.json'}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    "--web.listen-address=127.0.0.1:0",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            port = eventually(self._port, "Prometheus listens", START_SECONDS)
            self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
            eventually(self.is_scraping, "Prometheus scrapes Envoy", START_SECONDS)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._stop()

    def _config(self) -> dict[str, Any]:
        """YAML, of which JSON is a part."""
        scrape = {
            "job_name": JOB,
            "metrics_path": "/stats/prometheus",
            "static_configs": [{"targets": [self._envoy.admin_address]}],
        }
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        return {"global": every, "scrape_configs": [scrape]}

    def _port(self) -> str:
        """It is told in the log alone."""
        log = (self._folder / "prometheus.log").read_text(errors="replace")
        assert self._process.poll() is None, f"Prometheus ended:\n{log[-4000:]}"
        found = re.search(r'msg="Listening on" address=127\.0\.0\.1:(\d+)', log)
        return found[1] if found else ""

    def _stop(self) -> None:
        end(self._process)

    def is_scraping(self) -> bool:
        """Whether the last scrape brought something; false as well before it serves queries."""
        try:
            up = self.query(f'up{{job="{JOB}"}}')
        except (httpx.TransportError, httpx.HTTPStatusError):
            return False
        return [sample.value for sample in up] == [1]

    def query(self, promql: str) -> list[Sample]:
        """What an instant query answers now: the samples of a vector, or a scalar as one."""
        answer = self._http.post("/api/v1/query", data={"query": promql})
        assert answer.status_code != 400, f"{promql}: {answer.text}"
        data = answer.raise_for_status().json()["data"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]


def documented_queries(document: Path) -> list[str]:
    """The queries of a document's ```promql blocks; an empty line parts two of one block."""
    text = document.read_text()
    blocks = re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    queries = (query for block in blocks for query in re.split(r"\n\s*\n", block))
    return [query.strip() for query in queries if query.strip()]
