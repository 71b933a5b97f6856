"""The `model` target: the v1model architecture as simple_switch runs it, in Python.

`ModelDataPlane(program, transmit, events)` implements p4cats.switch.dataplane.DataPlane.
"""

from __future__ import annotations

from p4cats.switch.model.dataplane import ModelDataPlane

__all__ = ["ModelDataPlane"]
