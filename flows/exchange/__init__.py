"""What goes to other tools and comes from them: their files of rows, and models on the hub.

`trl`, `verl` and `open_instruct` know the columns of one tool each; nothing else does.
"""
