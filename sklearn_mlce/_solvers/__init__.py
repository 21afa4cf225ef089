"""Solvers of the linear model: an objective in, a SolverResult out."""
