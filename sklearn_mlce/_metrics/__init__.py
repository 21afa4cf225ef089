"""The measures of :mod:`sklearn_mlce.metrics`, one idea a file."""
