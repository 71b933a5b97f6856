"""TLS and mutual TLS of the P4Runtime server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from p4rt_client import client
from served import run, served, transit

from p4cats.errors import UserError
from p4cats.switch.server import Tls, credentials

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


def openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates it signed for localhost and for a client; one more CA of a stranger."""
    directory = tmp_path_factory.mktemp("tls")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for ca in ("ca", "strange"):
        openssl(
            directory, "req", "-x509", *key, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", f"/CN={ca}"
        )
    for name, ca in (("server", "ca"), ("client", "ca"), ("stranger", "strange")):
        openssl(
            directory,
            "req",
            *key[:-2],
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        (directory / "san").write_text("subjectAltName=DNS:localhost")
        sign = (
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            f"{ca}.pem",
            "-CAkey",
            f"{ca}.key",
            "-CAcreateserial",
        )
        openssl(directory, *sign, "-out", f"{name}.pem", "-days", "2", "-extfile", "san")
    return directory


def channel_credentials(directory: Path, name: str | None = None) -> grpc.ChannelCredentials:
    ca = (directory / "ca.pem").read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(ca)
    key, cert = (directory / f"{name}.key").read_bytes(), (directory / f"{name}.pem").read_bytes()
    return grpc.ssl_channel_credentials(ca, key, cert)


def outcome(directory: Path, name: str | None, mutual: bool, plain: bool = False) -> list[str]:
    """How a client fares: OK, or the status of its request."""
    tls = Tls(directory / "server.pem", directory / "server.key", directory / "ca.pem" if mutual else None)
    result = []

    async def test() -> None:
        async with served(transit(), tls, host="localhost") as s:
            given = None if plain else channel_credentials(directory, name)
            async with client(s.address, given) as c:
                try:
                    await c.get_pipeline()
                except grpc.aio.AioRpcError as error:
                    result.append(error.code().name)
                else:
                    result.append("OK")

    run(test)
    return result


def test_server_certificate_lets_clients_in_that_trust_its_ca(certificates: Path) -> None:
    assert outcome(certificates, None, mutual=False) == ["OK"]


def test_plain_text_client_is_not_answered(certificates: Path) -> None:
    assert outcome(certificates, None, mutual=False, plain=True) == ["UNAVAILABLE"]


@pytest.mark.parametrize(
    ("name", "expected"), [("client", "OK"), (None, "UNAVAILABLE"), ("stranger", "UNAVAILABLE")]
)
def test_mutual_tls_lets_known_clients_in_only(certificates: Path, name: str | None, expected: str) -> None:
    assert outcome(certificates, name, mutual=True) == [expected]


def test_unreadable_or_malformed_files_are_a_users_mistake(certificates: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        credentials(Tls(tmp_path / "none", certificates / "server.key"))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UserError, match="not a PEM file"):
        credentials(Tls(tmp_path / "empty", certificates / "server.key"))
