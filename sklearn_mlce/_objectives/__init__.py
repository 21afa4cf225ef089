"""A loss as training needs it: options, weights, value and gradient; one file a loss."""
