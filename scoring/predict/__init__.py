"""What the past teaches: how well scores and probabilities told what came, and probabilities learned from it. Pure."""
