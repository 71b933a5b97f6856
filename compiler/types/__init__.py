"""From the syntax tree to the typed, elaborated IR."""
