"""Thresholds found on out-of-fold scores: the objectives, the exact sweeps, the fold loop."""
