from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.replay import http1, wire

ANSWERS = st.builds(
    wire.Answer,
    instance=st.integers(0, 1023),
    site=st.text(max_size=32),
    wait_us=st.integers(0, 2**32 - 1),
    service_us=st.integers(0, 2**32 - 1),
    busy=st.integers(0, 2**16 - 1),
    queued=st.integers(0, 2**16 - 1),
)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 2**64 - 1), st.floats(0, wire.MAX_DEMAND), st.binary(max_size=20))
def test_udp_request_survives_with_padding(request_id: int, demand: float, padding: bytes) -> None:
    found = wire.unpack_request(wire.pack_request(request_id, demand) + padding)
    assert found is not None
    assert found.request_id == request_id
    assert found.demand == pytest.approx(demand, abs=1e-6)


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 2**64 - 1), ANSWERS)
def test_udp_response_survives(request_id: int, answer: wire.Answer) -> None:
    assert wire.unpack_response(wire.pack_response(request_id, answer)) == (request_id, answer)


def test_times_and_counts_that_do_not_fit_are_cut() -> None:
    answer = wire.Answer(1, "edge1", 2**40, 2**40, 2**20, 2**20)
    found = wire.unpack_response(wire.pack_response(1, answer))
    assert found == (1, wire.Answer(1, "edge1", 2**32 - 1, 2**32 - 1, 2**16 - 1, 2**16 - 1))


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=80))
def test_foreign_datagrams_are_nothing(data: bytes) -> None:
    if not data.startswith(b"C"):
        assert wire.unpack_request(data) is None
        assert wire.unpack_response(data) is None


@settings(deadline=None)  # the machine may be busy
@given(ANSWERS, st.integers(0, 10_000), st.integers(0, 5000))
def test_http_response_survives_and_is_incomplete_until_its_last_octet(
    answer: wire.Answer, received: int, least: int
) -> None:
    body = http1.answer_body(answer, received, least)
    data = http1.response(200, body, close=True)
    assert len(body) >= least
    assert http1.parse_response(data[:-1]) is None
    assert http1.parse_response(data) == http1.Response(200, answer)


@pytest.mark.parametrize(
    ("data", "close"),
    [
        (b"GET /?work=2.5&bytes=10 HTTP/1.1\r\nHost: a\r\n\r\n", False),
        (b"GET /?work=2.5&bytes=10 HTTP/1.1\r\nConnection: close\r\n\r\n", True),
        (b"GET /?work=2.5&bytes=10 HTTP/1.0\r\n\r\n", True),
        (b"GET /?work=2.5&bytes=10 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", False),
    ],
)
def test_http_request_is_parsed(data: bytes, close: bool) -> None:
    assert http1.parse_request(data + b"more") == http1.Head(2.5, 10, 0, close, False, len(data))
    assert http1.parse_request(data[:-1]) is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/2\r\n\r\n", 505),
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"GET /?work=nan HTTP/1.1\r\n\r\n", 400),
        (b"GET /?work=-1 HTTP/1.1\r\n\r\n", 400),
        (b"GET /?work=x HTTP/1.1\r\n\r\n", 400),
        (b"GET /?bytes=-1 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -4\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * http1.MAX_HEAD_BYTES, 431),
    ],
)
def test_wrong_http_request_has_its_status(data: bytes, status: int) -> None:
    with pytest.raises(http1.BadRequestError) as caught:
        http1.parse_request(data)
    assert caught.value.status == status


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200), st.sampled_from([b"", b"GET /", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 200 "]))
def test_any_octets_are_parsed_or_refused(data: bytes, start: bytes) -> None:
    with contextlib.suppress(http1.BadRequestError):
        http1.parse_request(start + data + b"\r\n\r\n")
    with contextlib.suppress(ValueError):
        http1.parse_response(start + data + b"\r\n\r\n")
