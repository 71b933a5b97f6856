"""What packets carry, for people and their tools: scapy layers and a Wireshark dissector (docs/protocol.md).

Switches, hosts and the collector do not use this package: it is how one looks at what they do.
"""
