"""From the graded answers to one prompt to training rows: one module per kind of row, pure functions, seeded draws."""
