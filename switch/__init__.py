"""The P4Runtime target, in the order in which an update passes through it.

server        address, TLS, limits of gRPC        service    the RPCs
streams       StreamChannel                       arbitration, roles
pipeline      verify, save, commit                programs   P4 text to a pipeline; reconcile
store         all entities of a pipeline          schema     P4Info joined with the IR
tables, table_codec, table_record, profiles, direct, cells, meters, valuesets, replication, digests, packetio
bytestrings, values, p4data, wire, errors         how values and errors look on the wire
dataplane     the contract of a target            model/     the reference target; modeltarget runs it
ports, frames, links, netns                       AF_PACKET ports
process       `p4cats switch`                     shell      p4runtime-shell in its own environment
stf/          packet tests in p4c's format
"""
