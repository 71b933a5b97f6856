"""The typed IR."""
