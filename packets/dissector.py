"""Where the Wireshark dissector is, and how Wireshark finds it."""

from pathlib import Path

from p4cats.errors import UserError

SCRIPT = Path(__file__).parent / "cats.lua"
"""For `tshark -X lua_script:…` and `wireshark -X lua_script:…`."""

PLUGINS = Path("~/.local/lib/wireshark/plugins")
"""A user's own plugins, loaded at every start (Wireshark User's Guide, B.4)."""


def install(directory: Path = PLUGINS) -> Path:
    """Copy the dissector into a directory of plugins, made if need be; return where it is now.

    UserError if it cannot be written.
    """
    target = directory.expanduser() / SCRIPT.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(SCRIPT.read_bytes())
    except OSError as error:
        raise UserError(f"{target}: {error.strerror}: give another directory with --install DIR") from None
    return target
