"""Mininet's classes, fitted to planned addresses and to data planes that are no Linux bridge.

Mininet still builds and owns the network; only three things differ from its defaults. Interfaces
are made inside their namespaces with their final names, MACs and MTU, so that two networks never
meet in the root namespace. Nodes keep the mount namespace, so that pinned BPF objects stay
visible. IPv6 comes from the plan alone: nothing configures, solicits or advertises by itself.

This module imports Mininet: import it only where a missing Mininet is reported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from mininet.cli import CLI
from mininet.link import Intf, Link
from mininet.node import Host, Node, Switch
from mininet.topo import Topo

from p4cats.netns import call_in
from p4cats.topologies import namespaces
from p4cats.topologies.addressing import GATEWAY, HostPlan, Peer, Plan, Port, SwitchPlan
from p4cats.topologies.cleanup import Run
from p4cats.topologies.emulation import Carrier, Impairment

HOST_LINK_LOCAL = "fe80::2"
"""Link-local address of every host; without one a server could not solicit its gateway, because
its answers come from the service address, which is on `lo` (RFC 4861, 7.2.2)."""

HOST_SYSCTLS = {
    "ipv6/conf/all/disable_ipv6": 0,
    "ipv6/conf/default/disable_ipv6": 0,
    "ipv6/conf/default/accept_ra": 0,
    "ipv6/conf/default/autoconf": 0,
    "ipv6/conf/default/addr_gen_mode": 1,  # none
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/default/dad_transmits": 0,
    "ipv6/conf/default/router_solicitations": 0,
    "ipv6/conf/default/keep_addr_on_down": 1,
    "ipv6/conf/all/keep_addr_on_down": 1,
}
SWITCH_SYSCTLS = {"ipv6/conf/all/disable_ipv6": 1, "ipv6/conf/default/disable_ipv6": 1}
"""The data plane alone speaks on a switch's ports; the kernel neither answers nor solicits."""


class _InNamespace(Node):  # type: ignore[misc]
    """A Mininet node whose shell leaves the network namespace only, and is recorded."""

    sysctls: dict[str, int]

    def __init__(self, name: str, run: Run, **params: Any):
        self._run = run
        params["inNamespace"] = True
        super().__init__(name, **params)
        call_in(self.netns, lambda: namespaces.set_sysctls(self.sysctls))

    @classmethod
    def setup(cls) -> None:
        """Need no tools: the network has checked, and Mininet would end the program."""

    @property
    def netns(self) -> str:
        """Path of the node's network namespace."""
        return f"/proc/{self.pid}/ns/net"

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[bytes]:
        """Start what Mininet starts by mnexec without its private mounts (see namespaces)."""
        if cmd[0] == "mnexec" and "n" in cmd[1]:
            cmd = ["unshare", "--net", "--", *cmd[2:]]
        elif cmd[0] == "mnexec":  # -da PID
            cmd = ["nsenter", f"--net=/proc/{cmd[2]}/ns/net", "--", *cmd[3:]]
        params.update(close_fds=True, start_new_session=True, env=self._run.environment(params.get("env")))
        process = subprocess.Popen(cmd, **params)
        self._run.record(process.pid, cmd)
        return process

    def configure(self, commands: list[str]) -> None:
        """Run lines of `ip -6` in the namespace; CommandError if one fails."""
        text = "".join(f"{line}\n" for line in commands)
        call_in(self.netns, lambda: namespaces.run(["ip", "-6", "-batch", "-"], text))

    def terminate(self) -> None:
        """End the shell at once; Mininet would wait for one that is busy."""
        if self.shell is None:
            return
        if self.stdout is not None:
            Node.inToNode.pop(self.stdin.fileno(), None)
            Node.outToNode.pop(self.stdout.fileno(), None)
        if self.shell.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.shell.pid, signal.SIGKILL)
        self.cleanup()


class PlannedHost(_InNamespace, Host):  # type: ignore[misc]
    """A client or a server with the addresses of the plan."""

    sysctls = HOST_SYSCTLS

    def __init__(self, name: str, run: Run, plan: HostPlan, **params: Any):
        self.plan = plan
        super().__init__(name, run, **params)

    def config(self, **_params: Any) -> dict[str, Any]:
        """Bring the host up; Mininet's own IPv4 address is not used."""
        call_in(
            self.netns,
            lambda: namespaces.set_offloads(self.plan.interface, tx=False, tso=False, gso=False),
        )
        self.bring_up()
        return {}

    def bring_up(self) -> None:
        """Set interfaces up, with addresses and the default route; also after its link was down."""
        plan = self.plan
        services = [f"addr replace {address}/128 dev lo nodad" for address in plan.services.values()]
        gateway = f"{GATEWAY} lladdr {plan.gateway_mac} dev {plan.interface}"
        neighbours = [f"neigh replace {gateway} nud permanent"] if plan.gateway_mac else []
        self.configure(
            [
                "link set dev lo up",
                f"link set dev {plan.interface} up",
                f"addr replace {plan.address_with_prefix} dev {plan.interface} nodad noprefixroute",
                f"addr replace {HOST_LINK_LOCAL}/64 dev {plan.interface} nodad",
                *services,
                *neighbours,
                f"route replace default via {GATEWAY} dev {plan.interface} src {plan.address}",
            ]
        )


class PlannedSwitch(_InNamespace, Switch):  # type: ignore[misc]
    """A namespace with the ports of a switch; its data plane is started by the network's runner."""

    sysctls = SWITCH_SYSCTLS

    def __init__(self, name: str, run: Run, plan: SwitchPlan, **params: Any):
        self.plan = plan
        self.on_start: Callable[[], None] = lambda: None
        self.on_stop: Callable[[], None] = lambda: None
        params["dpid"] = f"{plan.device_id:x}"
        super().__init__(name, run, **params)

    def defaultIntf(self) -> Any:  # noqa: N802 (Mininet's name)
        """Return the first port: there is no control interface."""
        return Node.defaultIntf(self)

    def bring_up(self) -> None:
        """Set the ports up, without offloads that the data plane would have to undo."""
        ports = [port.interface for port in self.plan.ports.values()]

        def offloads() -> None:
            for port in ports:
                namespaces.set_offloads(port, tx=False, tso=False, gso=False, gro=False)

        call_in(self.netns, offloads)
        self.configure(["link set dev lo up", *(f"link set dev {port} up" for port in ports)])

    def start(self, _controllers: object) -> None:
        """Start the data plane."""
        self.on_start()

    def stop(self, deleteIntfs: bool = False) -> None:  # noqa: N803 (Mininet's name)
        """Stop the data plane; the ports go with the namespace."""
        self.on_stop()


class PlannedIntf(Intf):  # type: ignore[misc]
    """An interface that its link has configured; Mininet only needs to know of it."""

    def __init__(self, *args: Any, address: str | None = None, **params: Any):
        self._address = address
        params["moveIntfFn"] = lambda *_args: None
        super().__init__(*args, **params)
        self.ip = address

    def config(self, **_params: Any) -> dict[str, Any]:
        """Do nothing."""
        return {}

    def updateIP(self) -> str | None:  # noqa: N802 (Mininet's name)
        """Return the IPv6 address that stands for the node's name in Mininet's console."""
        return self._address


class PlannedLink(Link):  # type: ignore[misc]
    """A veth pair, or, carried by the emulator, one pair at each end.

    `carrier` is None for a link that is one pair.
    """

    def __init__(
        self, node1: _InNamespace, node2: _InNamespace, *, port: Port, carrier: Carrier | None,
        **params: Any,
    ):  # fmt: skip
        self.impairment = Impairment(port.wire.delay_us, port.wire.loss_ppm, port.wire.rate_bps, port.mtu)
        self.carrier = carrier
        params.update(fast=True, intf=PlannedIntf)
        super().__init__(node1, node2, **params)

    def makeIntfPair(  # noqa: D102, N802, PLR0917 (Mininet's)
        self, intfname1: str, intfname2: str, addr1: str, addr2: str,
        node1: _InNamespace, node2: _InNamespace, deleteIntfs: bool = False,  # noqa: N803
    ) -> None:  # fmt: skip
        def pair(node: _InNamespace, name: str, mac: str, peer: str) -> None:
            mtu = self.impairment.mtu
            node.configure([f"link add name {name} address {mac} mtu {mtu} type veth peer {peer} mtu {mtu}"])

        if self.carrier is None:
            pair(node1, intfname1, addr1, f"name {intfname2} address {addr2} netns {node2.pid}")
        else:
            far = [f"name {end} netns {self.carrier.pid}" for end in self.carrier.ends]
            pair(node1, intfname1, addr1, far[0])
            pair(node2, intfname2, addr2, far[1])

    def delete(self) -> None:
        """Do nothing: the interfaces go with their namespaces."""


class PlannedTopo(Topo):  # type: ignore[misc]
    """A topology's plan as Mininet's Topo.

    `carrier(port)` says for one port of every link who carries its frames (see PlannedLink).
    """

    def build(self, plan: Plan, run: Run, carrier: Callable[[Port], Carrier | None]) -> None:  # noqa: D102
        for switch in plan.switches.values():
            self.addSwitch(switch.name, run=run, plan=switch)
        for host in plan.hosts.values():
            self.addHost(host.name, run=run, plan=host)
        for switch in plan.switches.values():
            for port in switch.ports.values():
                # A link between switches is seen from both; it is made once.
                if port.peer.is_host or (port.switch, port.number) < (port.peer.node, port.peer.port):
                    self._join(plan, port, carrier(port))

    def _join(self, plan: Plan, port: Port, carrier: Carrier | None) -> None:
        peer: Peer = port.peer
        address = str(plan.hosts[peer.node].address) if peer.is_host else None
        self.addLink(
            port.switch, peer.node, port1=port.number, port2=peer.port, port=port, carrier=carrier,
            intfName1=port.interface, intfName2=peer.interface, addr1=port.mac, addr2=peer.mac,
            params1={}, params2={"address": address},
        )  # fmt: skip


class Console(CLI):  # type: ignore[misc]
    """Mininet's console; names of nodes may hold a hyphen."""

    identchars = CLI.identchars + "-"
