"""Step rewards: the steps of a solution, and whether the equations in them hold."""
