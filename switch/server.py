"""The gRPC server: address, TLS, limits (P4Runtime section 4 on transport)."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from p4cats.errors import UserError
from p4cats.switch.service import P4RuntimeService

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.so_reuseport", 0),  # a second switch on the same port must fail, not share it
    ("grpc.max_receive_message_length", 256 << 20),  # a pipeline config or a large batch
    ("grpc.max_send_message_length", 64 << 20),
    ("grpc.max_metadata_size", 16 << 20),  # per-update errors of a large batch (section 10)
    ("grpc.absolute_max_metadata_size", 32 << 20),
    ("grpc.keepalive_time_ms", 10_000),  # a controller that vanished stops being primary
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
]


@dataclass(frozen=True)
class Tls:
    """Server certificate and key; with `ca`, only clients whose certificate it signed are let in."""

    cert: Path
    key: Path
    ca: Path | None = None


def check_address(address: str, tls: Tls | None) -> None:
    """UserError for an address that is malformed, or open to others without TLS."""
    if address.startswith(("unix:", "unix-abstract:")):
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) < 1 << 16:
        raise UserError(
            f"P4Runtime address {address!r}: write ADDR:PORT, for instance 127.0.0.1:9559 or [::1]:9559"
        )
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise UserError(f"P4Runtime address {address!r}: an IPv6 address stands in brackets, [::1]:9559")
    if tls is None and not _is_loopback(host.strip("[]")):
        raise UserError(
            f"P4Runtime address {address!r} is open to other machines: give --tls-cert and --tls-key "
            "(and --tls-ca to let in known clients only), or bind to 127.0.0.1"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def credentials(tls: Tls) -> grpc.ServerCredentials:
    """Server credentials; UserError where a file cannot be read, or key and certificate do not fit."""
    key, cert = _read(tls.key), _read(tls.cert)
    ca = None if tls.ca is None else _read(tls.ca)
    _check_pair(tls)
    return grpc.ssl_server_credentials(
        [(key, cert)], root_certificates=ca, require_client_auth=ca is not None
    )


def _check_pair(tls: Tls) -> None:
    """UserError for files that gRPC would refuse without a word: it only says that it cannot listen."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise UserError(f"TLS: {tls.cert} and {tls.key} are no certificate with its key: {reason}") from error
    if tls.ca is not None:
        try:
            context.load_verify_locations(tls.ca)
        except ssl.SSLError as error:
            raise UserError(f"TLS: {tls.ca} holds no certificates: {error.reason or error}") from error


def _no_password() -> str:
    raise UserError("TLS: the key is encrypted; a switch cannot ask for its password")


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"TLS: cannot read {path}: {error.strerror}") from error
    if b"-----BEGIN" not in data:
        raise UserError(f"TLS: {path} is not a PEM file")
    return data


async def start_server(
    service: P4RuntimeService,
    address: str,
    tls: Tls | None = None,
    *,
    also: Sequence[grpc.GenericRpcHandler[Any, Any]] = (),
) -> tuple[grpc.aio.Server, int]:
    """Serve on an address (port 0: any free one); the server and its port. UserError where that fails.

    `also` are methods beside those of P4Runtime.
    """
    check_address(address, tls)
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((service.handler(), *also))
    try:
        if tls is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials(tls))
    except RuntimeError as error:
        raise UserError(
            f"P4Runtime: cannot listen on {address}: is the port in use, or the address not ours?"
        ) from error
    await server.start()
    return server, port


__all__ = ["Tls", "check_address", "credentials", "start_server"]
