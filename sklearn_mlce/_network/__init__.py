"""The perceptron: module, batches, skorch loop, checkpoints."""
