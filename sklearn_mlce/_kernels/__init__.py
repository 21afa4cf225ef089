"""Arithmetic on tensors: from scores and targets to losses and gradients. Knows torch, not y."""
