"""Targets: recognise, encode and decode y. Knows NumPy and scikit-learn, never torch."""
