"""Errors as P4Runtime reports them (P4Runtime specification section 10, "Error Reporting").

    P4RuntimeError     an update, an entity or an RPC was refused: canonical code and a readable reason
    BatchError         some updates of a Write, or entities of a Read, were refused: one place for each

A batch of updates fails as a whole with UNKNOWN and one `p4.v1.Error` for each update, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from finsy.proto import p4r, rpc_status


class Code(IntEnum):
    """`google.rpc.Code`: the canonical codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class P4RuntimeError(Exception):
    """A request was refused; `code` is the canonical code that the specification asks for."""

    def __init__(self, code: Code, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code.name}: {message}")

    def within(self, context: str) -> P4RuntimeError:
        """The same error with the object it happened in before its message."""
        return P4RuntimeError(self.code, f"{context}: {self.message}")


class BatchError(Exception):
    """Some updates (or some entities of a read) were refused; `errors` has one place for each of them."""

    def __init__(self, errors: Sequence[P4RuntimeError | None], what: str) -> None:
        self.errors = errors
        failed = [(i, e) for i, e in enumerate(errors) if e is not None]
        index, first = failed[0]
        self.message = f"{len(failed)} of {len(errors)} {what} refused; first, #{index}: {first}"
        super().__init__(self.message)

    def status(self) -> rpc_status.Status:
        """`google.rpc.Status` with one packed `p4.v1.Error` per update."""
        status = rpc_status.Status(code=Code.UNKNOWN, message=self.message)
        for error in self.errors:
            detail = p4r.Error(canonical_code=Code.OK)
            if error is not None:
                detail = p4r.Error(canonical_code=error.code, message=error.message, space="p4cats")
            status.details.add().Pack(detail)
        return status


def invalid(message: str) -> P4RuntimeError:
    """INVALID_ARGUMENT."""
    return P4RuntimeError(Code.INVALID_ARGUMENT, message)


def not_found(message: str) -> P4RuntimeError:
    """NOT_FOUND."""
    return P4RuntimeError(Code.NOT_FOUND, message)


def exists(message: str) -> P4RuntimeError:
    """ALREADY_EXISTS."""
    return P4RuntimeError(Code.ALREADY_EXISTS, message)


def denied(message: str) -> P4RuntimeError:
    """PERMISSION_DENIED."""
    return P4RuntimeError(Code.PERMISSION_DENIED, message)


def exhausted(message: str) -> P4RuntimeError:
    """RESOURCE_EXHAUSTED."""
    return P4RuntimeError(Code.RESOURCE_EXHAUSTED, message)


def precondition(message: str) -> P4RuntimeError:
    """FAILED_PRECONDITION."""
    return P4RuntimeError(Code.FAILED_PRECONDITION, message)


def out_of_range(message: str) -> P4RuntimeError:
    """OUT_OF_RANGE."""
    return P4RuntimeError(Code.OUT_OF_RANGE, message)


def unimplemented(message: str) -> P4RuntimeError:
    """UNIMPLEMENTED."""
    return P4RuntimeError(Code.UNIMPLEMENTED, message)


__all__ = [
    "BatchError", "Code", "P4RuntimeError", "denied", "exhausted", "exists", "invalid",
    "not_found", "out_of_range", "precondition", "unimplemented",
]  # fmt: skip
