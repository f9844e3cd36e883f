"""`odr list | show | report | logs | stop`: what a data root holds, and how far a run is."""
