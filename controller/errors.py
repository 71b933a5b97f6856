"""Errors of the controller.

ControllerError                 anything that a caller may want to catch
├── ControllerUnreachable       no controller answers on the socket
├── RequestRefused              the controller answered that the request makes no sense
├── SocketInUse                 another controller already answers on the socket
└── PipelineMissing             no compiled program was given for a switch
"""

from __future__ import annotations

from p4cats.errors import UserError


class ControllerError(UserError):
    """Base of the controller's errors; `str()` is one line that says what to do."""


class ControllerUnreachable(ControllerError):  # noqa: N818 - a state, not a mistake of the caller
    """No controller answers on the socket."""

    exit_code = 2


class RequestRefused(ControllerError):  # noqa: N818
    """The controller refused a request; `str()` is its sentence, `status` the HTTP code."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


class SocketInUse(ControllerError):  # noqa: N818
    """Another controller answers on the socket."""


class PipelineMissing(ControllerError):  # noqa: N818
    """No compiled program was given for a switch."""
