"""`odr verify | gc`: is everything as it was written; what does nobody refer to."""
