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
        if ca == "ca":
            openssl(directory, *sign, "-out", f"expired-{name}.pem", "-days", "-1", "-extfile", "san")
            shutil.copy(directory / f"{name}.key", directory / f"expired-{name}.key")
    return directory


def channel_credentials(directory: Path, name: str | None = None) -> grpc.ChannelCredentials:
    ca = (directory / "ca.pem").read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(ca)
    key, cert = (directory / f"{name}.key").read_bytes(), (directory / f"{name}.pem").read_bytes()
    return grpc.ssl_channel_credentials(ca, key, cert)


def outcome(
    directory: Path, name: str | None, mutual: bool, plain: bool = False, server: str = "server"
) -> list[str]:
    """How a client fares: OK, or the status of its request and why."""
    ca = directory / "ca.pem" if mutual else None
    tls = Tls(directory / f"{server}.pem", directory / f"{server}.key", ca)
    result = []

    async def test() -> None:
        async with served(transit(), tls, host="localhost") as s:
            given = None if plain else channel_credentials(directory, name)
            async with client(s.address, given) as c:
                try:
                    await c.get_pipeline()
                except grpc.aio.AioRpcError as error:
                    result.extend([error.code().name, error.details() or ""])
                else:
                    result.append("OK")

    run(test)
    return result


def test_server_certificate_lets_clients_in_that_trust_its_ca(certificates: Path) -> None:
    assert outcome(certificates, None, mutual=False) == ["OK"]


def test_plain_text_client_is_not_answered(certificates: Path) -> None:
    assert outcome(certificates, None, mutual=False, plain=True)[0] == "UNAVAILABLE"


@pytest.mark.parametrize(
    ("name", "expected", "told"),
    [
        ("client", "OK", ""),
        (None, "UNAVAILABLE", "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        ("stranger", "UNAVAILABLE", "unable to get local issuer certificate"),
        ("expired-client", "UNAVAILABLE", "certificate has expired"),
    ],
)
def test_mutual_tls_lets_known_clients_in_only_and_the_switch_tells_why(
    certificates: Path, name: str | None, expected: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert outcome(certificates, name, mutual=True)[0] == expected
    assert told in capfd.readouterr().err


@pytest.mark.parametrize(
    ("server", "told"),
    [("expired-server", "certificate has expired"), ("stranger", "unable to get local issuer certificate")],
)
def test_client_is_told_what_is_wrong_with_the_switchs_certificate(
    certificates: Path, server: str, told: str
) -> None:
    code, details = outcome(certificates, None, mutual=False, server=server)
    assert code == "UNAVAILABLE"
    assert told in details


def test_certificate_with_another_key_is_a_users_mistake(certificates: Path) -> None:
    with pytest.raises(UserError, match="key values mismatch"):
        credentials(Tls(certificates / "server.pem", certificates / "client.key"))


def test_encrypted_key_is_a_users_mistake(certificates: Path) -> None:
    arguments = ("-in", "server.key", "-out", "secret.key", "-aes256", "-passout", "pass:x")
    openssl(certificates, "ec", *arguments)
    with pytest.raises(UserError, match="encrypted"):
        credentials(Tls(certificates / "server.pem", certificates / "secret.key"))


def test_file_that_only_looks_like_certificates_is_a_users_mistake(
    certificates: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(UserError, match="holds no certificates"):
        credentials(Tls(certificates / "server.pem", certificates / "server.key", tmp_path / "ca.pem"))


def test_unreadable_or_malformed_files_are_a_users_mistake(certificates: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        credentials(Tls(tmp_path / "none", certificates / "server.key"))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UserError, match="not a PEM file"):
        credentials(Tls(tmp_path / "empty", certificates / "server.key"))
