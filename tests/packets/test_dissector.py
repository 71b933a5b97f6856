"""tshark with packets/cats.lua reads what our packets say."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from p4cats import protocol
from p4cats.packets.dissector import SCRIPT
from p4cats.packets.layers import (
    Decision,
    IntMd,
    IntShim,
    MetricOption,
    Report,
    ReportGroup,
    metric_header,
    signed,
)

SERVICE, CLIENT, ROUTER = "2001:db8:ca75::53", "2001:db8:1::1", "5f00:0:1::1"
ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
METRIC = {
    "key_id": 9,
    "instance": 3,
    "norm_fi": 8,
    "compute": 7,
    "communication": 6,
    "service": 5,
    "composed": 4,
    "in_flight": 12,
    "expected_wait_us": 3400,
    "power_mw": 56000,
    "sequence": 77,
}


def tshark(packets: list[Ether], directory: Path, *arguments: str) -> str:
    """Return what tshark prints of the packets."""
    assert shutil.which("tshark"), "tshark is missing: make test installs it"
    capture = directory / "packets.pcap"
    wrpcap(str(capture), packets)
    command = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", str(capture), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    assert "Lua" not in done.stderr, done.stderr
    assert "Lua Error" not in done.stdout
    return done.stdout


def decoded(packet: Ether, directory: Path) -> dict[str, list[str]]:
    """Return all fields that tshark finds in a packet, with their values."""
    found: dict[str, list[str]] = {}

    def gather(tree: object) -> None:
        if isinstance(tree, list):
            for item in tree:
                gather(item)
        if isinstance(tree, dict):
            for name, value in tree.items():
                if isinstance(value, str):
                    found.setdefault(name, []).append(value)
                elif isinstance(value, list) and all(isinstance(item, str) for item in value):
                    found.setdefault(name, []).extend(value)
                else:
                    gather(value)

    text = tshark([packet], directory, "-T", "json", "--no-duplicate-keys")
    gather(json.loads(text)[0]["_source"]["layers"])
    return found


def response(**fields: int) -> Ether:
    head = ETHERNET / IPv6(src=SERVICE, dst=CLIENT) / metric_header(**{**METRIC, **fields})
    return signed(head / TCP(sport=80, dport=5000) / b"answer", bytes(8))


def telemetry() -> Ether:
    hops = bytes.fromhex("00000002 00030004 00000005 00000006 0000000000000007 0000000000000008")
    hops += bytes.fromhex("00000001 00010002 00000009 00000000 0000000000000003 0000000000000004")
    decision = bytes(Decision(instance=6, policy=3, placed=1, expected_wait_us=250, age_us=1500))
    md = IntMd(
        instructions=0xFC00,
        hop_words=8,
        remaining_hops=6,
        domain=protocol.INT_DOMAIN,
        domain_instructions=0x8000,
        stack=hops + decision,
    )
    outer = (
        ETHERNET
        / IPv6(src=ROUTER, dst="5f00:0:2:1006::")
        / UDP(sport=50000, dport=protocol.INT_PORT, chksum=0)
    )
    return (
        outer / IntShim(protocol=41) / md / IPv6(src=CLIENT, dst=SERVICE) / UDP(sport=5000, dport=80) / b"ask"
    )


def test_metric_option_is_decoded_field_by_field(tmp_path: Path) -> None:
    found = decoded(response(), tmp_path)
    assert {name: found[f"cats.{name}"] for name in METRIC} == {n: [str(v)] for n, v in METRIC.items()}
    assert found["tcp.dstport"] == ["5000"]


def test_beacons_blanked_options_and_unknown_values_are_named(tmp_path: Path) -> None:
    beacon = ETHERNET / IPv6(src=SERVICE, dst=ROUTER) / metric_header(**METRIC)
    beacon = signed(beacon / UDP(sport=4000, dport=protocol.BEACON_PORT), bytes(8))
    zeros = dict.fromkeys([field.name for field in MetricOption.fields_desc][2:], 0)
    blanked = ETHERNET / IPv6(src=SERVICE, dst=CLIENT) / metric_header(**zeros) / UDP(sport=80, dport=5000)
    unknown = response(expected_wait_us=0xFFFFFFFF, flags=protocol.FLAG_DRAINING)
    text = tshark([beacon, blanked, unknown], tmp_path, "-V")
    assert "Blanked by the domain edge: True" in text
    assert "Expected wait (µs): 4294967295 (unknown)" in text
    assert "Draining: True" in text
    summary = tshark([beacon], tmp_path)
    assert "Beacon, instance 3, 12 in flight, wait 3400 µs" in summary


def test_telemetry_is_decoded_hop_by_hop_with_the_decision_and_the_inner_packet(tmp_path: Path) -> None:
    found = decoded(telemetry(), tmp_path)
    assert found["int.node_id"] == ["2", "1"]
    assert found["int.hop_latency_us"] == ["5", "9"]
    assert found["int.ingress_timestamp_us"] == ["7", "3"]
    assert found["int.remaining_hops"] == ["6"]
    assert (found["cats.decision.instance"], found["cats.decision.policy"]) == (["6"], ["3"])
    assert (found["cats.decision.expected_wait_us"], found["cats.decision.age_us"]) == (["250"], ["1500"])
    assert found["udp.dstport"] == [str(protocol.INT_PORT), "80"]


def test_report_is_decoded_with_the_frame_in_it(tmp_path: Path) -> None:
    head = ETHERNET / IPv6(src=ROUTER, dst=CLIENT)
    head = head / UDP(sport=protocol.REPORT_PORT, dport=protocol.REPORT_PORT, chksum=0)
    found = decoded(head / ReportGroup(node_id=2, sequence=41) / Report() / telemetry(), tmp_path)
    assert (found["int_report.node_id"], found["int_report.sequence"]) == (["2"], ["41"])
    assert found["int_report.tracked"] == ["1"]
    assert found["int.node_id"] == ["2", "1"]


def test_command_prints_where_it_is_and_installs_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "p4cats", "dissector"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert Path(done.stdout.strip()) == SCRIPT
    plugins = tmp_path / "wireshark" / "plugins"
    subprocess.run([*command, "--install", str(plugins)], capture_output=True, timeout=60, check=True)
    assert (plugins / SCRIPT.name).read_bytes() == SCRIPT.read_bytes()
    (tmp_path / "file").touch()
    done = subprocess.run(
        [*command, "--install", str(tmp_path / "file")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
