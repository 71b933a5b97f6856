"""STF packet tests."""
