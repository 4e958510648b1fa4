"""Requests that no well-behaved client library sends, and callers that leave."""

from __future__ import annotations

import socket
import time

import h2.config
import h2.connection
import h2.errors
import h2.events

RawHeaders = list[tuple[bytes, bytes]]


def send(
    port: int, http2: bool, method: bytes, target: bytes, headers: RawHeaders
) -> tuple[int, bytes]:
    """Status and body of the answer to a request without a body; `host` is among the headers."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        exchange = _http2 if http2 else _http1
        return exchange(connection, method, target, headers)


def leave(port: int, http2: bool, target: bytes, headers: RawHeaders, after: float) -> None:
    """Asks, and gives up after so many seconds without waiting for an answer.

    Over HTTP/1.1 the connection is closed; over HTTP/2 the stream is reset first.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        if not http2:
            _http1_request(connection, b"GET", target, headers)
            time.sleep(after)
            return
        h2_connection = _http2_request(connection, b"GET", target, headers)
        time.sleep(after)
        h2_connection.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
        connection.sendall(h2_connection.data_to_send())


def tunnel(port: int, host: str, message: bytes, headers: RawHeaders) -> bytes:
    """What comes of a WebSocket after its handshake and `message`, until the other side ends it.

    Without a message it is left at once. An upstream over HTTP/2 gives no `sec-websocket-accept`,
    which libraries insist on.
    """
    upgrade = [(b"host", host.encode()), (b"upgrade", b"websocket"), *headers]
    upgrade += [
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"MDEyMzQ1Njc4OUFCQ0RFRg=="),
    ]
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        _http1_request(connection, b"GET", b"/", upgrade, b"upgrade")
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = connection.recv(65536)
            assert part, f"no handshake: {answer!r}"
            answer += part
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        if not message:
            return b""
        connection.sendall(message)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def _http1(
    connection: socket.socket, method: bytes, target: bytes, headers: RawHeaders
) -> tuple[int, bytes]:
    _http1_request(connection, method, target, headers)
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head, "the connection ended without an answer"
    return int(head.split(b" ", 2)[1]), body


def _http1_request(
    connection: socket.socket,
    method: bytes,
    target: bytes,
    headers: RawHeaders,
    then: bytes = b"close",
) -> None:
    lines = [method + b" " + target + b" HTTP/1.1", b"connection: " + then]
    lines += [name + b": " + value for name, value in headers]
    connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")


def _http2(
    connection: socket.socket, method: bytes, target: bytes, headers: RawHeaders
) -> tuple[int, bytes]:
    h2_connection = _http2_request(connection, method, target, headers)

    status, body = 0, b""
    while data := connection.recv(65536):
        for event in h2_connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                status = int(dict(event.headers)[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                body += event.data
                # Else the other side stops after 64 KiB.
                assert event.flow_controlled_length is not None and event.stream_id
                h2_connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
            elif isinstance(event, h2.events.StreamEnded):
                return status, body
            elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
                return status, body
        connection.sendall(h2_connection.data_to_send())
    return status, body


def _http2_request(
    connection: socket.socket, method: bytes, target: bytes, headers: RawHeaders
) -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(
        header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    h2_connection = h2.connection.H2Connection(config)
    h2_connection.initiate_connection()
    pseudo = [(b":method", method), (b":scheme", b"http"), (b":path", target)]
    pseudo += [(b":authority", value) for name, value in headers if name == b"host"][:1]
    fields = [(name, value) for name, value in headers if name != b"host"]
    h2_connection.send_headers(1, pseudo + fields, end_stream=True)
    connection.sendall(h2_connection.data_to_send())
    return h2_connection
