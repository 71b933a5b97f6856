"""From P4 text to the syntax tree."""
