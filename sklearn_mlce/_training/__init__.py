"""The training engine: device choice, batches, network, and the skorch loop around them."""
