"""One of two versions that answer alike, until one of them is told to answer worse.

`python -m serinus_e2e.twin` serves as `child` has it, over HTTP/1.1 and HTTP/2. Answers are JSON
and depend on the path alone, so that two twins give the same bytes; `Twin.behave` changes that for
the requests to one host, whatever they ask for. What was received is kept, and told by
`Twin.received`.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import random
import time
import urllib.parse
import urllib.request
import uuid
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events

from .child import Child, reset, serve_until_closed

BEHAVE, RECEIVED = "/-/behave", "/-/received"
# Requests of a host that are kept; older ones go.
MOST_KEPT = 2_000
HUGE_BYTES = 100_000_000
CHUNK = b"x" * 65_536
# Envoy passes on 60 KiB of headers, and 100 of them, unless it is told otherwise.
MANY_HEADERS = {f"x-many-{n}": "v" * 500 for n in range(80)}
TOO_MANY_HEADERS = {f"x-many-{n}": "v" * 500 for n in range(400)}

JSON_TYPE = "application/json"


@dataclass
class Behaviour:
    """How requests to a host are answered; by the default as they should be."""

    # `answer`, or one of the ways of `Http1._misbehave` and `BODIES`.
    how: str = "answer"
    # Adds what two calls of one version differ in: a time, an id, and the order of a list.
    noise: bool = False
    # What is wrong with this part of the answers: `value`, `missing` or `status`.
    worse: str = ""
    part: float = 1.0
    # Seconds before the answer.
    after: float = 0.0


@dataclass
class Request:
    """What was received."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body_bytes: int
    body_hash: str

    @property
    def host(self) -> str:
        return self.header("host") or ""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.headers}


@dataclass
class Memory:
    """Everything that a twin knows."""

    behaviours: dict[str, Behaviour] = field(default_factory=lambda: defaultdict(Behaviour))
    received: dict[str, deque[Request]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=MOST_KEPT))
    )
    in_flight: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def control(self, request: Request, body: bytes) -> Any:
        """Does what a test asks for, and says what there is to say."""
        if request.path == BEHAVE:
            host, how = json.loads(body)
            self.behaviours[host] = Behaviour(**how)
            return None
        host = urllib.parse.unquote(request.path.removeprefix(f"{RECEIVED}?"))
        kept = [asdict(one) for one in self.received[host]]
        return {"requests": kept, "in_flight": self.in_flight[host]}


def catalogue(request: Request, behaviour: Behaviour) -> tuple[int, bytes]:
    """Status and body of an ordinary answer, or of a worse one."""
    seeded = random.Random(request.path.partition("?")[0])
    items: list[dict[str, Any]] = [
        {
            "id": number,
            "name": f"widget {seeded.randrange(1000)}",
            "price": seeded.randrange(100, 10_000) / 100,
            "tags": seeded.sample(["new", "red", "blue", "sale"], 2),
        }
        for number in range(10)
    ]
    related = seeded.sample(range(1000), 5)
    answer: dict[str, Any] = {"method": request.method, "items": items, "related": related}
    if request.body_bytes:
        answer["received"] = {"bytes": request.body_bytes, "hash": request.body_hash}
    if behaviour.noise:
        answer |= {"at": time.time(), "requestId": uuid.uuid4().hex}
        random.shuffle(related)
    status = 200
    if behaviour.worse and random.random() < behaviour.part:
        match behaviour.worse:
            case "value":
                for item in items:
                    item["price"] = round(item["price"] + 0.01, 2)
            case "missing":
                for item in items:
                    del item["name"]
            case "status":
                status = 500
    return status, json.dumps(answer).encode()


# Bodies that are not the catalogue.
BODIES = {
    "invalid": b'{"items": [1, 2,',
    "deep": b"[" * 512 + b"]" * 512,
    "bottomless": b"[" * 100_000 + b"]" * 100_000,
    "ascending": json.dumps(list(range(100_000))).encode(),
    "descending": json.dumps(list(range(99_999, -1, -1))).encode(),
    "binary": bytes(range(256)) * 16,
    "empty": b"",
}


class Http1:
    """Connections of HTTP/1.1."""

    def __init__(self, memory: Memory):
        self._memory = memory

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether another may follow."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, path, _ = first.split(" ")
        pairs = [line.split(":", 1) for line in lines if line]
        headers = [(name.lower(), value.strip()) for name, value in pairs]
        body = await read_body(reader, dict(headers))
        digest = hashlib.sha256(body).hexdigest()
        request = Request(method, path, headers, len(body), digest)
        if path.startswith("/-/"):
            told = json.dumps(self._memory.control(request, body)).encode()
            write(writer, request, 200, told, {})
            return True
        host = request.host.partition(":")[0]
        self._memory.received[host].append(request)
        behaviour = self._memory.behaviours[host]
        self._memory.in_flight[host] += 1
        try:
            if behaviour.after:
                await asyncio.sleep(behaviour.after)
            return await self._answer(request, behaviour, reader, writer)
        finally:
            self._memory.in_flight[host] -= 1

    async def _answer(
        self,
        request: Request,
        behaviour: Behaviour,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        status, body = catalogue(request, behaviour)
        headers: dict[str, str] = {}
        match behaviour.how:
            case "answer":
                pass
            case "gzip":
                body, headers = gzip.compress(body), {"content-encoding": "gzip"}
            case "bad-gzip":
                headers = {"content-encoding": "gzip"}
            case "hints":
                writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
            case "many-headers":
                headers = MANY_HEADERS
            case "too-many-headers":
                headers = TOO_MANY_HEADERS
            case how if how in BODIES:
                body = BODIES[how]
            case how:
                await self._misbehave(how, reader, writer)
                return False
        write(writer, request, status, body, headers)
        return True

    async def _misbehave(
        self, how: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answers that do not end, or not well."""
        begin = f"HTTP/1.1 200 OK\r\ncontent-type: {JSON_TYPE}\r\n"
        match how:
            case "hang":
                await reader.read()
            case "reset-before":
                reset(writer.transport)
            case "reset-after":
                writer.write(begin.encode() + b'content-length: 1000\r\n\r\n{"items": ')
                await writer.drain()
                # Data that is still on its way would be lost with the connection.
                await asyncio.sleep(0.05)
                reset(writer.transport)
            case "huge":
                writer.write(begin.encode() + b"content-length: %d\r\n\r\n" % HUGE_BYTES)
                for _ in range(HUGE_BYTES // len(CHUNK) + 1):
                    writer.write(CHUNK)
                    await writer.drain()
            case "endless":
                writer.write(begin.encode() + b"transfer-encoding: chunked\r\n\r\n")
                while True:
                    writer.write(b"3\r\n 1,\r\n")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            case _:
                raise AssertionError(how)


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", 0)))
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def write(
    writer: asyncio.StreamWriter, request: Request, status: int, body: bytes, more: dict[str, str]
) -> None:
    headers = {"content-type": JSON_TYPE, "content-length": str(len(body)), **more}
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    if request.method != "HEAD":
        writer.write(body)


class Http2(asyncio.Protocol):
    """Connections of HTTP/2: gRPC's, with a status in trailers, 13 for an answer that is worse."""

    def __init__(self, memory: Memory):
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._http = h2.connection.H2Connection(config)
        self._memory = memory
        self._hosts: dict[int, str] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http.initiate_connection()
        self._transport.write(self._http.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.headers and event.stream_id
                headers = dict(event.headers)
                self._hosts[event.stream_id] = str(headers[":authority"]).partition(":")[0]
            elif isinstance(event, h2.events.StreamEnded):
                assert event.stream_id
                self._answer(event.stream_id)
        self._transport.write(self._http.data_to_send())

    def _answer(self, stream: int) -> None:
        behaviour = self._memory.behaviours[self._hosts.pop(stream)]
        headers = [(":status", "200"), ("content-type", "application/grpc")]
        self._http.send_headers(stream, headers)
        self._http.send_data(stream, b"\0\0\0\0\0")
        status = "13" if behaviour.worse else "0"
        trailers = [("grpc-status", status), ("x-sum", base64.b64encode(b"sum").decode())]
        self._http.send_headers(stream, trailers, end_stream=True)


async def serve() -> None:
    memory = Memory()
    http1 = await asyncio.start_server(Http1(memory).serve, "127.0.0.1", 0, backlog=1024)
    loop = asyncio.get_running_loop()
    http2 = await loop.create_server(lambda: Http2(memory), "127.0.0.1", 0)
    await serve_until_closed([server.sockets[0].getsockname()[1] for server in (http1, http2)])


class Twin(Child):
    """A running twin."""

    def __init__(self) -> None:
        super().__init__("twin")
        self.port, self.http2_port = self.ready

    def behave(self, host: str, how: str = "answer", **others: Any) -> None:
        """From now on requests to this host are answered so; see `Behaviour`."""
        self._control(BEHAVE, json.dumps([host, {"how": how, **others}]).encode())

    def received(self, host: str) -> list[Request]:
        """The requests to this host, of late."""
        return [Request(**one) for one in self._control(f"{RECEIVED}?{host}")["requests"]]

    def copies(self, host: str, path: str = "") -> list[Request]:
        """The copies among them, with this path."""
        received = self.received(host)
        marked = [one for one in received if one.header("x-serinus-shadow") is not None]
        return [one for one in marked if path in one.path]

    def in_flight(self, host: str) -> int:
        """Requests to this host that are not answered yet."""
        return self._control(f"{RECEIVED}?{host}")["in_flight"]

    def _control(self, path: str, body: bytes | None = None) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, body)) as answer:
            return json.load(answer)


if __name__ == "__main__":
    asyncio.run(serve())
