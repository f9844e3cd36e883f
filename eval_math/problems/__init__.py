"""Where benchmarks come from, and the audit of their golds."""
