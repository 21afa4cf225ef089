"""Maps from scores to probabilities, fitted on held-out rows."""
