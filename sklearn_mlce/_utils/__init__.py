"""Surroundings of a fit: device, seeds, warnings, callbacks, sparse matrices; imports no room."""
