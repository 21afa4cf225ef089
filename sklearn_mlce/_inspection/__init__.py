"""What :func:`sklearn_mlce.inspection.describe_labels` counts, concludes and shows."""
