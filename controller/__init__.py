"""The CATS control plane: what every switch should hold, and the sessions that see to it.

    entries, desired, difference     pure: state in, updates out
    switches (arbitration, messages) P4Runtime sessions
    metrics, exceptions, flows       pure: C-SMA, ICMPv6 errors, a flow as the data plane sees it
    controller, overview, api        the running controller and its Unix socket
    client, render, views            for the command line; load neither gRPC nor the API

Import from the modules: a table of contents here would load gRPC into every command.
"""
