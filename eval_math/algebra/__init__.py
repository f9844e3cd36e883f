"""The rare fallback: computer algebra in a process that can be killed."""
