// What the conformance programs do not care about: no checksums, nothing in egress, all headers emitted.
// A program defines headers_t and metadata_t (and may define WITH_VERIFY, WITH_EGRESS, WITH_COMPUTE,
// WITH_DEPARSER to bring its own block) before it includes this file.
#ifndef WITH_VERIFY
control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}
#endif
#ifndef WITH_EGRESS
control TestEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply {}
}
#endif
#ifndef WITH_COMPUTE
control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}
#endif
#ifndef WITH_DEPARSER
control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}
#endif
