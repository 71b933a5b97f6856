"""p4cats: compute-aware traffic steering (CATS, RFC 10053) with P4 and eBPF."""

__version__ = "0.1.0"
