"""`p4cats switch`: its ready line, its end, and one clear line for each mistake."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path

import pytest
from switch_process import EVERYTHING, command, running_switch


def fails(*arguments: str | Path) -> tuple[int, str]:
    done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert not done.stdout
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


def one_line(*arguments: str | Path) -> str:
    _, errors = fails("--p4runtime", "127.0.0.1:0", *arguments)
    assert len(errors.splitlines()) == 1, errors
    return errors


def test_ready_line_tells_the_address_and_sigterm_ends_it() -> None:
    with running_switch("--pipeline", EVERYTHING, "--device-id", "3") as switch:
        assert switch.address.startswith("127.0.0.1:")
        assert not switch.address.endswith(":0")


def test_sigint_ends_it_too() -> None:
    with running_switch() as switch:
        switch.process.send_signal(signal.SIGINT)
        assert switch.process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "eth0"], "write NUMBER@INTERFACE"),
        (["--port", "1@eth0", "--port", "1@eth1"], "given twice"),
        (["--port", "1@nosuchinterface"], "there is no interface nosuchinterface"),
        (["--port", "1@nosuch0"], "there is no interface nosuch0"),
        (["--port", "1@lo", "--netns", "no-such-namespace"], "/run/netns/no-such-namespace does not exist"),
        (["--pipeline", "/no/such.p4"], "/no/such.p4"),
        (["--tls-cert", "x.pem"], "belong together"),
    ],
)
def test_mistake_is_told_in_one_line(arguments: list[str], said: str) -> None:
    assert said in one_line(*arguments)


def test_address_open_to_others_is_refused_without_tls() -> None:
    code, errors = fails("--p4runtime", "0.0.0.0:9559")
    assert code == 1
    assert "open to other machines" in errors


def test_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, errors = fails("--p4runtime", address)
    assert code == 1
    assert f"cannot listen on {address}" in errors


def test_errors_of_the_program_are_the_compilers(tmp_path: Path) -> None:
    bad = tmp_path / "bad.p4"
    bad.write_text("#include <v1model.p4>\nheader h { bit<8> x }\n")
    _, errors = fails("--p4runtime", "127.0.0.1:0", "--pipeline", bad)
    assert f"{bad}:2:" in errors
    assert "error:" in errors
