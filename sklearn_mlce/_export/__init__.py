"""Fitted estimators as torch modules: made of arrays and modules, without scikit-learn."""
