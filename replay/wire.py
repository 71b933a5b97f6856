"""UDP messages between client and instance server: one request, one response, no retransmission.

Network byte order. Request: magic "CQ", version, zero, request id (64 bits), demand in millionths;
anything behind it is padding. Response: magic "CR", version, status, request id, instance, wait and
service time in microseconds, workers busy and requests queued when service began, site name in
UTF-8 up to the end.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

VERSION = 1
DEMAND_UNIT = 1_000_000
MAX_DEMAND = 0xFFFF_FFFF / DEMAND_UNIT
"""Largest demand factor that fits a request, about 4295."""

_REQUEST = struct.Struct("!2sBBQI")
_RESPONSE = struct.Struct("!2sBBQIIIHH")
_REQUEST_MAGIC = b"CQ"
_RESPONSE_MAGIC = b"CR"
_U32 = 0xFFFF_FFFF
_U16 = 0xFFFF


class UdpRequest(NamedTuple):
    """A request: its id, and its demand as a factor of the instance's service time."""

    request_id: int
    demand: float


class Answer(NamedTuple):
    """What an instance says about one request it served, by UDP or HTTP alike."""

    instance: int
    site: str
    wait_us: int
    service_us: int
    busy: int
    queued: int


def pack_request(request_id: int, demand: float) -> bytes:
    """Return the datagram of a request; `demand` from 0 to `MAX_DEMAND`."""
    return _REQUEST.pack(_REQUEST_MAGIC, VERSION, 0, request_id, round(demand * DEMAND_UNIT))


def unpack_request(data: bytes) -> UdpRequest | None:
    """Return the request in a datagram, None if there is none."""
    if len(data) < _REQUEST.size:
        return None
    magic, version, _, request_id, demand = _REQUEST.unpack_from(data)
    if magic != _REQUEST_MAGIC or version != VERSION:
        return None
    return UdpRequest(request_id, demand / DEMAND_UNIT)


def pack_response(request_id: int, answer: Answer) -> bytes:
    """Return the datagram of a response; times and counts that do not fit are cut to the largest."""
    numbers = (
        min(answer.wait_us, _U32),
        min(answer.service_us, _U32),
        min(answer.busy, _U16),
        min(answer.queued, _U16),
    )
    head = _RESPONSE.pack(_RESPONSE_MAGIC, VERSION, 0, request_id, answer.instance, *numbers)
    return head + answer.site.encode()


def unpack_response(data: bytes) -> tuple[int, Answer] | None:
    """Return request id and answer in a datagram, None if there is none."""
    if len(data) < _RESPONSE.size:
        return None
    magic, version, _, request_id, instance, wait, service, busy, queued = _RESPONSE.unpack_from(data)
    if magic != _RESPONSE_MAGIC or version != VERSION:
        return None
    site = data[_RESPONSE.size :].decode(errors="replace")
    return request_id, Answer(instance, site, wait, service, busy, queued)
