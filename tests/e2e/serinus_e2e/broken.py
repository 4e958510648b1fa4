"""A version of the shop that misbehaves on demand, over HTTP/1.1, HTTP/2, gRPC and WebSocket.

`python -m serinus_e2e.broken` serves as `child` has it. What it does is said by the path:

| path | over HTTP/1.1 | over HTTP/2 |
| --- | --- | --- |
| `/status/N` | status N; a 3xx has a `location` | |
| `/empty/N` | status N without a body | |
| `/bytes/N/M` | status N with M bytes, and two cookies | |
| `/drip/N` | status N with a body that takes half a second | |
| `/after/MS` | 200 after so many milliseconds | |
| `/hang` | never answers | never answers |
| `/reset-before` | the connection ends without an answer | the stream is reset |
| `/reset-after` | it ends in the middle of the body | the stream is reset |
| `/hints` | 103 and then 200 | |
| `/once/KEY` | 503 the first time for this key, then 200 | |
| CONNECT | | a WebSocket that is reset by its first data |
"""

from __future__ import annotations

import asyncio

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket

from .child import Child, reset, serve_until_closed

GRPC_METHOD = "/shop.Checkout/Pay"


class Http1:
    """Answers one request a connection, or doesn't."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, _ = head.split(b" ", 2)
            _, what, *rest = path.decode().partition("?")[0].split("/")
            await self._answer(method, what, rest, reader, writer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self,
        method: bytes,
        what: str,
        rest: list[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        match what, rest:
            case "status", [status]:
                _respond(writer, int(status), is_head=method == b"HEAD")
            case "empty", [status]:
                head = f"HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                writer.write(head.encode())
            case "bytes", [status, size]:
                head = f"HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {size}\r\n"
                head += "content-type: text/x-bytes\r\nset-cookie: a=b\r\nset-cookie: c=d\r\n\r\n"
                writer.write(head.encode())
                if method != b"HEAD":
                    writer.write(bytes_of(int(size)))
            case "drip", [status]:
                head = f"HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: 5\r\n\r\n"
                writer.write(head.encode())
                for _ in range(5 if method != b"HEAD" else 0):
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.1)
            case "after", [milliseconds]:
                await asyncio.sleep(int(milliseconds) / 1000)
                _respond(writer, 200)
            case "hang", []:
                # Until the proxy has had enough.
                await reader.read()
            case "reset-before", []:
                reset(writer.transport)
            case "reset-after", []:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
                await writer.drain()
                # Data that is still on its way would be lost with the connection.
                await asyncio.sleep(0.05)
                reset(writer.transport)
            case "hints", []:
                writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
                await writer.drain()
                _respond(writer, 200)
            case "once", [key]:
                _respond(writer, 200 if key in self._seen else 503)
                self._seen.add(key)
            case _:
                _respond(writer, 404)


def bytes_of(size: int) -> bytes:
    """The body of `/bytes`, no part of which is like another."""
    return b"".join(b"%08x" % number for number in range(size // 8 + 1))[:size]


def _respond(writer: asyncio.StreamWriter, status: int, is_head: bool = False) -> None:
    lines = [f"HTTP/1.1 {status} Said", "connection: close"]
    if 300 <= status < 400 and status != 304:
        lines.append("location: /elsewhere")
    # 204 and 304 have no body, and a HEAD's length is that of the body it does not get.
    body = b"" if status in (204, 304) else b"said"
    if body:
        lines.append(f"content-length: {len(body)}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if is_head else body))


class Http2(asyncio.Protocol):
    """Resets streams of HTTP/2, those of WebSockets too."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False)
        self._http = h2.connection.H2Connection(config)
        self._tunnels: set[int] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._http.local_settings[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self._http.initiate_connection()
        self._transport.write(self._http.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.headers and event.stream_id
                self._answer(event.stream_id, dict(event.headers))
            elif isinstance(event, h2.events.DataReceived) and event.stream_id in self._tunnels:
                self._reset(event.stream_id)
        self._transport.write(self._http.data_to_send())

    def _answer(self, stream: int, headers: dict[bytes, bytes]) -> None:
        if headers[b":method"] == b"CONNECT":
            self._http.send_headers(stream, [(":status", "200")])
            self._tunnels.add(stream)
        elif headers[b":path"] == b"/reset-before":
            self._reset(stream)
        elif headers[b":path"] == b"/reset-after":
            self._http.send_headers(stream, [(":status", "200"), ("content-length", "1000")])
            self._http.send_data(stream, b"half")
            # The proxy drops an answer that comes together with its reset.
            asyncio.get_running_loop().call_later(0.05, self._reset_later, stream)

    def _reset(self, stream: int) -> None:
        self._tunnels.discard(stream)
        self._http.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)

    def _reset_later(self, stream: int) -> None:
        self._reset(stream)
        self._transport.write(self._http.data_to_send())


Context = grpc.aio.ServicerContext


async def pay(request: bytes, context: Context) -> bytes:
    """Answers with the gRPC status that the request's first word names.

    With `trailers` as the second word the status comes after the headers, in trailers; without,
    an error is one block of headers alone ("trailers-only").
    """
    status, *how = request.decode().split()
    code = next(code for code in grpc.StatusCode if code.value[0] == int(status))
    if "trailers" in how:
        await context.send_initial_metadata((("x-shop", "v2"),))
    if code is not grpc.StatusCode.OK:
        await context.abort(code, "as asked")
    return b"paid"


async def serve_grpc() -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    service, method = GRPC_METHOD.lstrip("/").split("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(pay)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port


async def echo(connection: ServerConnection) -> None:
    """A WebSocket that says what it hears, until it hears `bye` or `die`."""
    async for message in connection:
        if message == "bye":
            return
        if message == "die":
            reset(connection.transport)
            return
        await connection.send(message)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    http1 = await asyncio.start_server(Http1().serve, "127.0.0.1", 0)
    http2 = await loop.create_server(Http2, "127.0.0.1", 0)
    websocket = await serve_websocket(echo, "127.0.0.1", 0)
    grpc_server, grpc_port = await serve_grpc()
    servers = {"http1": http1, "http2": http2, "websocket": websocket}
    ports = {name: next(iter(it.sockets)).getsockname()[1] for name, it in servers.items()}
    await serve_until_closed(ports | {"grpc": grpc_port})
    await grpc_server.stop(None)


class BrokenShop(Child):
    """A running shop that misbehaves; its ports by protocol."""

    def __init__(self) -> None:
        super().__init__("broken")
        self.ports: dict[str, int] = self.ready


if __name__ == "__main__":
    asyncio.run(serve())
