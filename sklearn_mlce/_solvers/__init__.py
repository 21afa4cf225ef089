"""Solvers of the linear model: an objective in, a SolverResult out; of "sgd" an SGDFit."""
