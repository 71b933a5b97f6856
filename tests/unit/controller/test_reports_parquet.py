"""Telemetry reports from JSON lines to Parquet, and the collector's socket."""

import dataclasses
import socket
from ipaddress import IPv6Address

import polars
import pytest
from typer.testing import CliRunner

from p4cats import cli
from p4cats.controller.collector import Findings, Receiver, as_line, listen_socket
from p4cats.controller.parquet import convert
from p4cats.controller.reports import Decision, Hop, Report
from p4cats.errors import UserError

U32, U64 = (1 << 32) - 1, (1 << 64) - 1
CLIENT, SERVICE = IPv6Address("2001:db8:1:1::2"), IPv6Address("2001:db8:ca75::53")
HOPS = Hop(U32, 65535, 2, U32 - 1, 5, 1, U64), Hop(node=3)
DECISION = Decision(1023, 3, True, None, U32 - 1)
FULL = Report(U32, (1 << 22) - 1, CLIENT, SERVICE, 17, 65535, 8080, HOPS, DECISION, True, False)
BARE = Report(3, 0, SERVICE, CLIENT, 58, None, None, (), None, False, True)


def written(tmp_path, text):
    path = tmp_path / "reports.jsonl"
    path.write_text(text)
    return path


@pytest.mark.parametrize("order", [(FULL, BARE), (BARE, FULL), (BARE,)])
def test_columns_are_the_keys_and_values_stay(tmp_path, order):
    lines = written(tmp_path, "".join(as_line(report, 1.5) for report in order))
    assert convert(lines, tmp_path / "out.parquet") == len(order)
    for row, report in zip(polars.read_parquet(tmp_path / "out.parquet").to_dicts(), order, strict=True):
        expected = dataclasses.asdict(report) | {"received_s": 1.5}
        expected |= {"source": str(report.source), "destination": str(report.destination)}
        assert row == expected | {"hops": list(expected["hops"])}


def test_a_file_that_still_grows_is_read_to_its_last_whole_line(tmp_path):
    lines = written(tmp_path, as_line(FULL, 1.0) + as_line(BARE, 2.0)[:-20])
    assert convert(lines, tmp_path / "out.parquet") == 1
    lines.write_text("")
    assert convert(lines, tmp_path / "out.parquet") == 0
    assert "hops" in polars.read_parquet(tmp_path / "out.parquet").columns


@pytest.mark.parametrize(
    "text", ["nonsense\n", '{"x": 1}\n', "[1]\n", '{"received_s": 1, "sink": "x"}\n', "\n\0\n"]
)
def test_another_file_is_refused_in_one_line(tmp_path, text):
    with pytest.raises(UserError, match="no file of `p4cats collect --json`") as refused:
        convert(written(tmp_path, text), tmp_path / "out.parquet")
    assert "\n" not in str(refused.value)


def test_files_that_cannot_be_had_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read: No such file"):
        convert(tmp_path / "none.jsonl", tmp_path / "out.parquet")
    with pytest.raises(UserError, match="cannot be written: "):
        convert(written(tmp_path, as_line(BARE, 1.0)), tmp_path / "none" / "out.parquet")


def test_the_command_converts_and_wants_both_files(tmp_path):
    lines, out = written(tmp_path, as_line(FULL, 1.0)), tmp_path / "out.parquet"
    done = CliRunner().invoke(cli.app, ["collect", "--read", str(lines), "--parquet", str(out)])
    assert done.output == f"{out}: 1 reports\n"
    for argv in (["--read", str(lines)], ["--parquet", str(out)]):
        done = CliRunner().invoke(cli.app, ["collect", *argv])
        assert isinstance(done.exception, UserError)
        assert "--read FILE --parquet OUT" in str(done.exception)


def test_what_comes_faster_than_it_is_read_is_counted():
    findings = Findings()
    with (
        listen_socket(IPv6Address("::1"), 0) as sock,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender,
    ):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sender.connect(sock.getsockname())
        for _ in range(100):
            sender.send(bytes(1000))
        receiver = Receiver(sock, findings, None)
        receiver.count_overflow()
        receiver.drain()
    assert 0 < findings.overflow < 100
    assert findings.malformed == 100 - findings.overflow
