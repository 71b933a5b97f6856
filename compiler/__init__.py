"""The P4_16 compiler: P4 text, tokens, tree, typed IR, P4Info, back ends."""
