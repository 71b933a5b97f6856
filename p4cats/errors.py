"""The root of all errors that a user can cause and mend.

UserError           one clear line (or a few) that says what is wrong, where, and what to do
"""


class UserError(Exception):
    """A user's mistake, or something the machine lacks. The command line prints it without a traceback."""

    exit_code = 1
    """Exit status of the command: 1 for bad input, 2 for what the environment lacks."""


class EnvironmentLacksError(UserError):
    """The machine lacks what the command needs: privilege, a kernel feature, a tool."""

    exit_code = 2
