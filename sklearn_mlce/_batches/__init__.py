"""What the stochastic solver and the network both need of a batch: targets, losses, sparse rows."""
