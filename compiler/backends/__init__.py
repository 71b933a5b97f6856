"""Back ends: P4Info, and code for each target."""
