"""The part of HTTP/1.1 (RFC 9112) that an instance server and its clients speak, without I/O.

Requests: GET and POST with Content-Length; `work` (demand factor) and `bytes` (least size of the
response's body, in octets) in the query. No chunked requests: they are refused by name.
"""

from __future__ import annotations

import json
import math
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from p4cats.replay.wire import MAX_DEMAND, Answer

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 16 * 1024 * 1024
"""Octets of the longest body taken in a request, and given in a response."""

_REASONS = {
    100: "Continue",
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequestError(Exception):
    """A request that is answered with an error status, after which the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Head(NamedTuple):
    """The head of a request, as far as the server cares."""

    demand: float
    response_bytes: int
    body_bytes: int
    close: bool
    expects_continue: bool
    octets: int
    """Length of the head itself, with the empty line."""


def parse_request(data: bytes | bytearray) -> Head | None:
    """Return the head at the start of `data`, None while it is incomplete; BadRequestError if wrong."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > MAX_HEAD_BYTES:
        if len(data) > MAX_HEAD_BYTES:
            raise BadRequestError(431, f"a head has at most {MAX_HEAD_BYTES} octets")
        return None
    line, *fields = bytes(data[:end]).decode("latin-1").split("\r\n")
    version, target = _request_line(line)
    headers = dict(_field(field) for field in fields)
    if "transfer-encoding" in headers:
        raise BadRequestError(411, "send Content-Length, not Transfer-Encoding")
    demand, response_bytes = _query(target)
    connection = headers.get("connection", "").lower()
    return Head(
        demand=demand,
        response_bytes=response_bytes,
        body_bytes=_body_length(headers.get("content-length", "0")),
        close="close" in connection or (version == "HTTP/1.0" and "keep-alive" not in connection),
        expects_continue=headers.get("expect", "").lower() == "100-continue",
        octets=end + 4,
    )


def _request_line(line: str) -> tuple[str, str]:
    parts = line.split(" ")
    if len(parts) != 3:
        raise BadRequestError(400, f"no request line: {line[:80]!r}")
    method, target, version = parts
    if method not in ("GET", "POST"):
        raise BadRequestError(405, f"method {method[:20]} is not GET or POST")
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise BadRequestError(505, f"version {version[:20]} is not HTTP/1.0 or HTTP/1.1")
    return version, target


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise BadRequestError(400, f"no header field: {line[:80]!r}")
    return name.lower(), value.strip()


def _body_length(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(400, f"Content-Length {text[:20]!r} is no number")
    if int(text[:20]) > MAX_BODY_BYTES:
        raise BadRequestError(413, f"a body has at most {MAX_BODY_BYTES} octets")
    return int(text)


def _query(target: str) -> tuple[float, int]:
    """Return demand factor and least size of the response's body."""
    try:
        parts = urlsplit(target)
        query = parse_qs(parts.query)
        demand = float(query.get("work", ["1"])[0])
        size = int(query.get("bytes", ["0"])[0])
    except ValueError as error:
        raise BadRequestError(400, f"query: {error}") from None
    if parts.path != "/":
        raise BadRequestError(404, f"there is only /, not {parts.path[:80]}")
    if not (math.isfinite(demand) and 0 <= demand <= MAX_DEMAND):
        raise BadRequestError(400, f"work must be from 0 to {MAX_DEMAND:.0f}")
    if not 0 <= size <= MAX_BODY_BYTES:
        raise BadRequestError(400, f"bytes must be from 0 to {MAX_BODY_BYTES}")
    return demand, size


def response(status: int, body: bytes, *, close: bool) -> bytes:
    """Return a whole response; `body` is JSON."""
    return (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
    ).encode() + body


def answer_body(answer: Answer, received_bytes: int, least_bytes: int = 0) -> bytes:
    """Return an answer as JSON, padded with spaces (JSON allows them) to `least_bytes` octets."""
    return json.dumps({**answer._asdict(), "received_bytes": received_bytes}).encode().ljust(least_bytes)


class Response(NamedTuple):
    """A response as a client reads it."""

    status: int
    answer: Answer | None
    """None where the body holds none, as in errors."""


def parse_response(data: bytes | bytearray) -> Response | None:
    """Return the response that `data` holds, None while it is incomplete; ValueError if it is none."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    line, *fields = bytes(data[:end]).decode("latin-1").split("\r\n")
    try:
        status = int(line.split(" ", 2)[1])
        length = next(int(field[15:]) for field in fields if field.lower().startswith("content-length:"))
        if len(data) < end + 4 + length:
            return None
        if status != 200:
            return Response(status, None)
        body = json.loads(data[end + 4 : end + 4 + length])
        return Response(status, Answer(**{name: body[name] for name in Answer._fields}))
    except (ValueError, LookupError, TypeError, StopIteration):
        raise ValueError(f"no response of an instance server: {line[:80]!r}") from None
