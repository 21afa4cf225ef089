"""The scikit-learn classes: parameters, docstrings, fit and predict."""
