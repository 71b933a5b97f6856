/* The P4_16 core library: the names and signatures of the language specification (v1.2.5, appendix
   "P4 core library"). Included by every architecture. */

#ifndef _CORE_P4_
#define _CORE_P4_

/// What a parser can report in its error.
error {
    NoError,            // nothing went wrong
    PacketTooShort,     // the packet ends before what is extracted
    NoMatch,            // no case of a select applies
    StackOutOfBounds,   // next or last beyond a header stack
    HeaderTooShort,     // extracting into a varbit longer than its maximum
    ParserTimeout,      // the parser ran longer than the target allows
    ParserInvalidArgument // an extern was called with an argument the target refuses
}

/// The packet that a parser reads.
extern packet_in {
    /// Read a header of fixed size and make it valid.
    void extract<T>(out T hdr);
    /// Read a header whose one varbit field takes the given number of bits.
    void extract<T>(out T variableSizeHeader, in bit<32> variableFieldSizeInBits);
    /// What the next bits mean as a T, without moving on.
    T lookahead<T>();
    /// Skip bits.
    void advance(in bit<32> sizeInBits);
    /// Bytes in the packet.
    bit<32> length();
}

/// The packet that a deparser writes.
extern packet_out {
    /// Append a header if it is valid; the parts of a stack, union or struct in their order.
    void emit<T>(in T hdr);
}

/// In a parser: go on if the condition holds, otherwise set the error and reject.
extern void verify(in bool check, in error toSignal);

/// The action that does nothing.
@noWarn("unused")
action NoAction() {}

match_kind {
    exact,      // equal
    ternary,    // equal under a mask
    lpm         // longest prefix
}

/// Checked by the compiler: the condition must be constant and true.
extern bool static_assert(bool check, string message);
extern bool static_assert(bool check);

#endif
