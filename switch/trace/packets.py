"""Packets to trace: hexadecimal text, or a capture file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from p4cats.switch.trace.remote import TraceError

_ETHERNET = 1
"""LINKTYPE_ETHERNET."""


def packets(text: str) -> Iterator[bytes]:
    """The packets of a capture file, where `text` names one; else the one that it spells in hexadecimal."""
    path = Path(text)
    if path.suffix in (".pcap", ".pcapng", ".cap") or (len(text) < 256 and path.is_file()):
        return _captured(path)
    return iter([hexadecimal(text)])


def hexadecimal(text: str) -> bytes:
    """Bytes of `0x6001 0203`, `60:01:02:03` and the like."""
    digits = "".join(text.split()).replace(":", "").replace("-", "").removeprefix("0x")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        bad = next((c for c in digits if c not in "0123456789abcdefABCDEF"), None)
        why = f"{bad!r} is no digit" if bad else "the last byte has one digit only"
        raise TraceError(f"--packet is neither hexadecimal ({why}) nor a .pcap file that exists") from None
    if not data:
        raise TraceError("--packet is empty: give the frame in hexadecimal, or a .pcap file")
    return data


def _captured(path: Path) -> Iterator[bytes]:
    from scapy.error import Scapy_Exception  # noqa: PLC0415 (slow to load)
    from scapy.utils import RawPcapReader  # noqa: PLC0415

    try:
        with RawPcapReader(str(path)) as reader:
            for data, metadata in reader:
                link = getattr(metadata, "linktype", None) or getattr(reader, "linktype", _ETHERNET)
                if link != _ETHERNET:
                    raise TraceError(f"{path}: link type {link}; only Ethernet captures can be traced")
                yield bytes(data)
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    except (Scapy_Exception, EOFError) as error:
        raise TraceError(f"{path} is no capture file: {error}") from None


__all__ = ["hexadecimal", "packets"]
