"""What the metrics are made of: estimates, votes, classes of equal answers."""
