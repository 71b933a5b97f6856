"""The `model` target: the v1model architecture as simple_switch runs it, in Python.

`ModelDataPlane(program, transmit, events)` implements p4cats.switch.dataplane.DataPlane.
"""

from __future__ import annotations

from p4cats.switch.model.dataplane import ModelDataPlane
from p4cats.switch.model.pipeline import FATAL_DROPS

__all__ = ["FATAL_DROPS", "ModelDataPlane"]
