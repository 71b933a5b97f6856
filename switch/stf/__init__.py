"""STF packet tests: add entries, send packets, expect packets (p4c's test format).

`run_stf(program, stf, target)` gives a StfResult; StfError says what is wrong with a file.
"""

from __future__ import annotations

from p4cats.switch.stf.commands import StfError
from p4cats.switch.stf.parse import parse_stf
from p4cats.switch.stf.runner import TARGETS, StfResult, run_statements, run_stf

__all__ = ["TARGETS", "StfError", "StfResult", "parse_stf", "run_statements", "run_stf"]
