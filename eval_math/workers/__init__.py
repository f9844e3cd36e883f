"""Grading in parallel, in processes that can be killed."""
