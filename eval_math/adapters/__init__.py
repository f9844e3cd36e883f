"""Rewards of this package in the signatures of other trainers, and theirs in ours."""
