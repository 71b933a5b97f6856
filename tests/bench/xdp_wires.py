"""Two hosts and what forwards between them, each in a network namespace of its own.

    sender s0 ---- p1 switch p2 ---- r0 receiver

A namespace lives as long as a process that holds it, and that process ends with this one: nothing is left
on the machine, whatever happens. What forwards is a Wire's subclass.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes as ct
import ipaddress
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import finsy as fy
import p4runtime

from p4cats.ebpf import _capi
from p4cats.ebpf.build import compile_bpf
from p4cats.ebpf.libbpf import Object, XdpLink
from p4cats.netns import call_in
from p4cats.switch.programs import compile_pipeline
from p4cats.topologies.namespaces import run, set_offloads, set_sysctls, wait_until_up

HERE = Path(__file__).resolve().parent
ROUTER = HERE.parent / "xdp" / "router.p4"
SENDER, RECEIVER = "2001:db8:1::2", "2001:db8:2::2"
MACS = {
    "s0": 0x02_00_00_00_01_02,
    "p1": 0x02_00_00_00_01_01,
    "p2": 0x02_00_00_00_02_01,
    "r0": 0x02_00_00_00_02_02,
}
PORT = 5201
LIVE_FRAMES = 1 << 1
"""BPF_F_TEST_XDP_LIVE_FRAMES."""
BATCH = 64

_SINK = f"""
import socket
with socket.create_server(("::", {PORT}), family=socket.AF_INET6) as server:
    print("ready", flush=True)
    while True:
        connection, room, total = server.accept()[0], bytearray(1 << 20), 0
        while size := connection.recv_into(room):
            total += size
        connection.sendall(total.to_bytes(8, "big"))
        connection.close()
"""
_SOURCE = f"""
import socket, sys, time
with socket.create_connection(("{RECEIVER}", {PORT}), timeout=10) as connection:
    begin, data = time.monotonic(), bytes(1 << 20)
    while time.monotonic() < begin + float(sys.argv[1]):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    total = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
    print(8e-9 * total / (time.monotonic() - begin))
"""


def mac(name: str) -> str:
    """The address of an interface, as text."""
    return MACS[name].to_bytes(6, "big").hex(":")


class Wire:
    """The two hosts; nothing forwards yet. A context manager."""

    gateway = "r0"
    """Whose MAC the sender's frames go to (and the receiver's to s0 or p2)."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.sender = self.switch = self.receiver = ""

    def __enter__(self) -> Wire:
        with self._stack as stack:
            self.sender, self.switch, self.receiver = (self._namespace(stack) for _ in range(3))
            self._interfaces()
            self._frames(stack)
            self.forward(stack)
            self._sink = self._popen(
                stack, self.receiver, [sys.executable, "-c", _SINK], stdout=subprocess.PIPE
            )
            assert self._sink.stdout is not None
            self._sink.stdout.readline()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def forward(self, stack: ExitStack) -> None:
        """Let the switch forward; `stack` undoes it."""

    def before_frames(self) -> None:
        """Prepare for generated frames, which a veth takes only where its peer has NAPI on."""

    def before_tcp(self) -> None:
        """Prepare for TCP."""

    # -- making -------------------------------------------------------------------------------

    def _popen(
        self, stack: ExitStack, netns: str, argv: list[str], **options: object
    ) -> subprocess.Popen[bytes]:
        inside = ["nsenter", f"--net=/proc/{netns}/ns/net"] if netns else []
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *inside, *argv], **options)  # type: ignore[call-overload]
        stack.callback(_end, process)
        return process  # type: ignore[no-any-return]

    def _namespace(self, stack: ExitStack) -> str:
        argv = ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"]
        process = self._popen(stack, "", argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return str(process.pid)

    def _interfaces(self) -> None:
        for netns, near, far_netns, far in (
            (self.sender, "s0", self.switch, "p1"),
            (self.receiver, "r0", self.switch, "p2"),
        ):
            link = ["ip", "link", "add", near, "address", mac(near), "type", "veth"]
            link += ["peer", "name", far, "address", mac(far), "netns", far_netns]
            call_in(netns, lambda link=link: run(link))  # type: ignore[misc]
        quiet = {
            "ipv6/conf/all/disable_ipv6": 0,
            "ipv6/conf/all/accept_ra": 0,
            "ipv6/conf/all/router_solicitations": 0,
        }
        for netns in (self.sender, self.switch, self.receiver):
            call_in(netns, lambda: set_sysctls(quiet))
        self._host(self.sender, "s0", SENDER, "r0" if self.gateway == "r0" else "p1")
        self._host(self.receiver, "r0", RECEIVER, "s0" if self.gateway == "r0" else "p2")
        for name in ("p1", "p2"):
            call_in(self.switch, lambda name=name: run(["ip", "link", "set", name, "up"]))  # type: ignore[misc]
        wait_until_up(self.sender, ["s0"])
        wait_until_up(self.receiver, ["r0"])
        wait_until_up(self.switch, ["p1", "p2"])

    def _host(self, netns: str, name: str, address: str, gateway: str) -> None:
        router = str(ipaddress.ip_network(f"{address}/64", strict=False)[1])

        def make() -> None:
            run(["ip", "link", "set", name, "up"])
            run(["ip", "addr", "add", f"{address}/64", "dev", name, "nodad"])
            run(["ip", "neigh", "add", router, "lladdr", mac(gateway), "dev", name, "nud", "permanent"])
            run(["ip", "route", "add", "default", "via", router, "dev", name])
            set_offloads(name, tx=False, tso=False, gso=False)

        call_in(netns, make)

    # -- frames -------------------------------------------------------------------------------

    def _frames(self, stack: ExitStack) -> None:
        out = call_in(self.sender, lambda: socket.if_nametoindex("s0"))
        self.object = stack.enter_context(Object.open(compile_bpf(HERE / "xdp_frames.bpf.c")))
        self.object.set_global("out_ifindex", out)
        self.object.load()
        destination = MACS[self.gateway if self.gateway == "r0" else "p1"]
        ethernet = destination.to_bytes(6, "big") + MACS["s0"].to_bytes(6, "big") + b"\x86\xdd"
        ipv6 = struct.pack("!IHBB", 6 << 28, 10, 17, 64)
        ipv6 += socket.inet_pton(socket.AF_INET6, SENDER) + socket.inet_pton(socket.AF_INET6, RECEIVER)
        self.frame = ethernet + ipv6 + struct.pack("!HHHH2x", 4000, 9, 10, 0)
        assert len(self.frame) == 64
        bss = next(m for n, m in self.object.maps.items() if n.endswith(".bss"))
        bss.update(bytes(4), self.frame)
        self.attach(stack, self.sender, "s0", "pass")
        # Before the switch comes: it leaves a peer that has a program alone.
        self._last = self.attach(stack, self.receiver, "r0", "pass")

    def attach(self, stack: ExitStack, netns: str, interface: str, program: str) -> XdpLink:
        """Put one of the object's programs on an interface, native."""
        link = call_in(
            netns,
            lambda: XdpLink(socket.if_nametoindex(interface), self.object.programs[program], "native"),
        )
        stack.callback(link.close)
        return link

    def received(self) -> int:
        """Frames that the receiver has counted, on all CPUs."""
        octets = self.object.maps["received"].lookup(bytes(4))
        assert octets is not None
        values = octets if isinstance(octets, list) else [octets]
        return sum(
            int.from_bytes(v[at : at + 8], sys.byteorder) for v in values for at in range(0, len(v), 8)
        )

    def frames_per_second(self, count: int) -> tuple[float, float]:
        """Frames that arrived in a second of a generator that sends `count` without a pause, and their share.

        Generator, switch and sink share one CPU: nothing is lost, and each has its part of the time.
        """
        self._last.update(self.object.programs["count"])
        self.before_frames()
        call_in(self.sender, lambda: self._generate(count // 20))
        self.all_through()
        before, begin = self.received(), time.perf_counter()
        call_in(self.sender, lambda: self._generate(count))
        seconds = self.all_through() - begin
        arrived = self.received() - before
        return arrived / seconds, arrived / count

    def all_through(self) -> float:
        """Wait after the generator's end until nothing is under way; when the last frame arrived."""
        end = time.perf_counter()
        time.sleep(0.02)
        return end

    def _generate(self, count: int) -> None:
        source = ct.create_string_buffer(self.frame, len(self.frame))
        opts = _capi.TestRunOpts(
            sz=ct.sizeof(_capi.TestRunOpts), repeat=count, flags=LIVE_FRAMES, batch_size=BATCH
        )
        opts.data_in, opts.data_size_in = ct.addressof(source), len(self.frame)
        error = _capi.lib().bpf_prog_test_run_opts(self.object.programs["generate"].fd, ct.byref(opts))
        if error:
            raise OSError(-error, "live frames of BPF_PROG_TEST_RUN")

    # -- TCP ----------------------------------------------------------------------------------

    def tcp_gbps(self, seconds: float) -> float:
        """Gbit/s that one TCP connection brings to the receiver's program."""
        self._last.update(self.object.programs["pass"])
        self.before_tcp()
        with ExitStack() as stack:
            argv = [sys.executable, "-c", _SOURCE, str(seconds)]
            process = self._popen(stack, self.sender, argv, stdout=subprocess.PIPE)
            out = process.communicate(timeout=seconds + 30)[0]
        if process.returncode:
            raise RuntimeError(f"TCP through {type(self).__name__} failed")
        return float(out)


class BareRedirect(Wire):
    """What XDP costs when it does nothing: bpf_redirect_map, packets unchanged."""

    def forward(self, stack: ExitStack) -> None:
        def fill() -> None:
            for key, name in enumerate(("p1", "p2")):
                self.object.maps["ports"].update(
                    struct.pack("=I", key), struct.pack("=I", socket.if_nametoindex(name))
                )

        call_in(self.switch, fill)
        self.attach(stack, self.switch, "p1", "from_first")
        self.attach(stack, self.switch, "p2", "from_second")


class WithoutXdp(Wire):
    """What forwards has no XDP program: GRO gives its veth the NAPI that generated frames need."""

    def before_frames(self) -> None:
        self._set_gro(on=True)

    def before_tcp(self) -> None:
        self._set_gro(on=False)

    def _set_gro(self, *, on: bool) -> None:
        call_in(self.switch, lambda: set_offloads("p1", gro=on))
        time.sleep(0.05)


class Kernel(WithoutXdp):
    """The kernel's own IPv6 forwarding."""

    gateway = "p1"

    def forward(self, stack: ExitStack) -> None:
        def routes() -> None:
            set_sysctls({"ipv6/conf/all/forwarding": 1})
            for name, host in (("p1", SENDER), ("p2", RECEIVER)):
                near = "s0" if name == "p1" else "r0"
                router = str(ipaddress.ip_network(f"{host}/64", strict=False)[1])
                run(["ip", "addr", "add", f"{router}/64", "dev", name, "nodad"])
                run(["ip", "neigh", "add", host, "lladdr", mac(near), "dev", name, "nud", "permanent"])

        call_in(self.switch, routes)


class P4Switch(Wire):
    """`p4cats switch` with the tests' router; its entries come by P4Runtime."""

    target = "xdp"

    def forward(self, stack: ExitStack) -> None:
        argv = [
            sys.executable,
            "-m",
            "p4cats",
            "switch",
            "--target",
            self.target,
            "--p4runtime",
            "127.0.0.1:0",
        ]
        argv += ["--netns", self.switch, "--port", "1@p1", "--port", "2@p2"]
        process = self._popen(stack, "", argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        found = re.match(rb"ready p4runtime=(\S+)", process.stdout.readline())
        if found is None:
            raise RuntimeError(f"the switch (target {self.target}) did not start")
        asyncio.run(_control(found[1].decode()))


class ModelSwitch(P4Switch):
    """The same, in Python."""

    target = "model"


async def _control(address: str) -> None:
    program = compile_pipeline(ROUTER)
    with tempfile.TemporaryDirectory() as directory:
        async with p4runtime.controller(address, Path(directory), program) as sw:
            await write_routes(sw)


async def write_routes(sw: fy.Switch) -> None:
    """Write the router's two entries."""
    for host, port, source, neighbor in ((SENDER, 1, "p1", "s0"), (RECEIVER, 2, "p2", "r0")):
        action = fy.P4TableAction("forward", port=port, source=MACS[source], neighbor=MACS[neighbor])
        match = fy.P4TableMatch(dst=f"{host}/64")
        await sw.write([+fy.P4TableEntry("routes", match=match, action=action)])


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


__all__ = [
    "ROUTER",
    "BareRedirect",
    "Kernel",
    "ModelSwitch",
    "P4Switch",
    "Wire",
    "WithoutXdp",
    "write_routes",
]
