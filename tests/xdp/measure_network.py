"""TCP between namespaces through a generated program, and through a bare redirect as the limit.

python tests/xdp/measure_network.py      (iperf3, three runs of 4 s each, taken in turn)
"""

from __future__ import annotations

import json
import statistics
import struct
import subprocess
import time

from xdp_network import HERE, Network, run

from p4cats.compiler.driver import compile_file
from p4cats.ebpf.build import compile_bpf
from p4cats.ebpf.libbpf import Object, XdpLink
from p4cats.netns import call_in
from p4cats.switch.xdp import XdpDataPlane
from p4cats.switch.xdp.attach import Attachments

ROUNDS, SECONDS = 3, 4


def interfaces(network: Network) -> dict[int, int]:
    shown = json.loads(run("ip", "-n", network.switch, "-j", "link"))
    return {i: next(x["ifindex"] for x in shown if x["ifname"] == f"p{i}") for i in (1, 2)}


def tcp_gbit_s(network: Network) -> float:
    server = subprocess.Popen(
        ["ip", "netns", "exec", network.host(2), "iperf3", "-s", "-1"], stdout=subprocess.DEVNULL
    )
    time.sleep(0.5)
    argv = ["iperf3", "-6", "-c", "2001:db8:2::1", "-t", str(SECONDS), "-J"]
    said = json.loads(run("ip", "netns", "exec", network.host(1), *argv))
    server.wait(10)
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e9


def generated(network: Network) -> float:
    plane = XdpDataPlane(compile_file(HERE / "routed.p4"))
    attached = Attachments(network.switch)
    try:
        attached.activate(plane, interfaces(network))
        return tcp_gbit_s(network)
    finally:
        attached.close()
        plane.close()


def bare(network: Network) -> float:
    attached = Attachments(network.switch)
    links: list[XdpLink] = []
    with Object.open(compile_bpf(HERE / "redirect.bpf.c")) as obj:
        obj.load()
        found = interfaces(network)
        try:
            for port, ifindex in found.items():
                attached._peer_ready(port, ifindex)
                other = struct.pack("=I", found[3 - port])
                key = struct.pack("=I", ifindex)
                call_in(network.switch, lambda k=key, v=other: obj.maps["out"].update(k, v))
                program = obj.programs["redirect"]
                links.append(call_in(network.switch, lambda i=ifindex, p=program: XdpLink(i, p, "native")))
            return tcp_gbit_s(network)
        finally:
            for link in links:
                link.close()
            for peer in attached._peers.values():
                peer.close()


def main() -> None:
    with Network() as network:
        # The same addresses with and without a program that rewrites them.
        for i in (1, 2):
            argv = ("ip", "-n", network.host(i), "-6", "neigh", "replace", "fe80::1", "dev", "eth0", "lladdr")
            run(*argv, f"02:00:00:00:00:0{3 - i}", "nud", "permanent")
        ours, limit = [], []
        for _ in range(ROUNDS):
            limit.append(bare(network))
            ours.append(generated(network))
        a, b = statistics.median(ours), statistics.median(limit)
        print(json.dumps({"tcp_gbit_s": ours, "bare_redirect_gbit_s": limit, "tcp_vs_bare": round(a / b, 3)}))


if __name__ == "__main__":
    main()
