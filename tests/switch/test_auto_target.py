"""`--target auto`: xdp for the programs that it takes, the model for the others, and why."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from p4rt_client import Client, client
from switch_process import Network, command, network, running_switch

from p4cats.compiler.backends.p4info import p4info
from p4cats.compiler.driver import compile_text
from p4cats.switch_status import METHOD, SERVICE

pytestmark = pytest.mark.root

TYPE = 0x88B5
TAKEN = """
#include <core.p4>
#include <v1model.p4>
header ethernet_t { bit<48> dst; bit<48> src; bit<16> type; }
struct headers_t { ethernet_t ethernet; }
struct meta_t { bit<1984> rest; }
parser Take(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.ethernet); transition accept; }
}
control Verify(inout headers_t hdr, inout meta_t meta) { apply {} }
control Steer(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { sm.egress_spec = 2; hdr.ethernet.src = 1; }
}
control Leave(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control Update(inout headers_t hdr, inout meta_t meta) { apply {} }
control Emit(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.ethernet); } }
V1Switch(Take(), Verify(), Steer(), Leave(), Update(), Emit()) main;
"""
REFUSED = TAKEN.replace("src = 1;", "src = 2;").replace(
    "transition accept;", "meta.rest = packet.lookahead<bit<1984>>(); transition accept;"
)
REASON = "target xdp: lookahead of 1984 bits"


async def status(c: Client) -> dict[str, object]:
    answer: dict[str, object] = json.loads(await c.channel.unary_unary(f"/{SERVICE}/{METHOD}")(b""))
    return answer


async def forwarded(net: Network) -> int:
    """The source address that the program writes into a frame."""
    net.hosts[0].send((bytes(12) + TYPE.to_bytes(2, "big")).ljust(400, b"x"))
    frame = await asyncio.to_thread(net.hosts[1].receive, TYPE)
    return int.from_bytes(frame[6:12], "big")


def test_each_program_runs_where_it_can() -> None:
    async def main(address: str, net: Network) -> None:
        async with client(address) as c:
            assert (await c.arbitrate(1)).status.code == 0
            for text, target, source in [(TAKEN, "xdp", 1), (REFUSED, "model", 2), (TAKEN, "xdp", 1)]:
                info = p4info(compile_text(text, "p.p4"))
                await c.set_pipeline("VERIFY_AND_COMMIT", text.encode(), info)
                assert (await status(c))["target"] == target
                assert await forwarded(net) == source

    with network(2) as net, running_switch("--target", "auto", *net.ports) as switch:
        asyncio.run(main(switch.address, net))
        assert switch.process.stderr is not None
        said = switch.process.stderr.readline()
    assert said.startswith("p4cats: target model, which is slow: the xdp target cannot run this program")
    assert REASON in said


def test_target_xdp_does_not_fall_back(tmp_path: Path) -> None:
    program = tmp_path / "long.p4"
    program.write_text(REFUSED)
    arguments = command("--p4runtime", "127.0.0.1:0", "--target", "xdp", "--pipeline", program)
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"{program}:8:" in done.stderr
    assert REASON in done.stderr


def test_keep_leaves_the_generated_c_and_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "short.p4"
    program.write_text(TAKEN)
    monkeypatch.chdir(tmp_path)
    arguments = ("--target", "xdp", "--keep", "--device-id", "7", "--pipeline", program)
    with running_switch(*arguments) as switch:
        assert switch.process.stderr is not None
        said = switch.process.stderr.readline()
    assert said == f"p4cats: generated C: {tmp_path / 'switch-7.bpf.c'}\n"
    assert "/* short.p4:12 */" in (tmp_path / "switch-7.bpf.c").read_text()
