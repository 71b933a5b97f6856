"""The xdp data plane: a P4 program in the kernel."""

from p4cats.switch.xdp.dataplane import XdpDataPlane
from p4cats.switch.xdp.loader import LoadError

__all__ = ["LoadError", "XdpDataPlane"]
