"""Stand-ins and fault injection that Coldchain's own tests use, shipped for others' tests."""
