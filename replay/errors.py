"""What can be wrong with the files of a replay.

ReplayError             one line, made to be shown to the user as it is
├── TraceError          a trace or a schedule: file, line, column
└── ResultError         what a client wrote, or did not write
"""

from __future__ import annotations

from pathlib import Path

from p4cats.errors import UserError


class ReplayError(UserError):
    """Something a user can mend; the message is one line and says what is wrong."""


class TraceError(ReplayError):
    """A trace or schedule file that cannot be used.

    `line` counts from 1, header included (in Parquet: the row); `column` is the column's name.
    """

    def __init__(
        self, path: str | Path, message: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        self.path, self.line, self.column = str(path), line, column
        place = str(path) if line is None else f"{path}:{line}"
        super().__init__(f"{place}: {f'column {column}: ' if column else ''}{message}")


class ResultError(ReplayError):
    """A client's output that is missing, damaged or empty."""
