"""Labels by their names: tags to y and back, the best tags of a row, the top features of a tag.

The functions take any multi-label estimator of scikit-learn's interface, alone, in a pipeline or in
a search.
"""

from sklearn_mlce.labels._features import top_features
from sklearn_mlce.labels._predictions import predicted_labels, top_labels
from sklearn_mlce.labels._tags import tags_to_y, y_to_tags

__all__ = ["predicted_labels", "tags_to_y", "top_features", "top_labels", "y_to_tags"]
