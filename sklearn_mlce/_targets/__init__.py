"""What y is: recognise, encode, decode. Knows NumPy and scikit-learn, never torch."""
