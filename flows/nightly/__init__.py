"""A standing campaign: one iteration each night, from the last good policy, judged before it is called best."""
