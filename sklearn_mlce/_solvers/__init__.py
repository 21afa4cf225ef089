"""The linear model: Newton-CG and SGD over an objective."""
