"""What trackers are told of a campaign: names, axes, amounts, where it came from. MLflow, and others if asked for."""
