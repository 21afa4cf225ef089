"""Perceptron: module, batches, skorch loop, checkpoints."""
