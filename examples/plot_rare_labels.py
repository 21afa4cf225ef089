"""
Find rare labels
================

Predict labels that few rows have, beside labels that are everywhere. The task
here is to tell the countries of a film from the names of its people. Most
films are from the United States, and some countries have a dozen.
"""

# %%
# Tune a threshold for each label
# -------------------------------
#
# The tuner finds one for each country on training films that it holds out in
# turn. Macro-F1 alone would spend much on a few rare countries. So a weighted
# mean of micro- and macro-F1 is what the thresholds are tuned for.

import film_data
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.inspection import F1ByFrequencyDisplay
from sklearn_mlce.labels import tags_to_y
from sklearn_mlce.metrics import f1_by_label_frequency
from sklearn_mlce.model_selection import (
    MultilabelTunedThresholdClassifierCV,
    multilabel_train_test_split,
)

films, _ = film_data.load_films()
Y = tags_to_y(films["countries"], delimiter="; ", min_count=20)
people = films["cast"].str.cat(films[["directors", "writers"]], sep="; ")
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    people, Y, train_size=6000, test_size=3000, random_state=0
)
counts = Y_train.sum()

names = TfidfVectorizer(
    token_pattern=r"[^;\s][^;]*", min_df=2, dtype=np.float32
)
plain = make_pipeline(names, MLCEClassifier()).fit(X_train, Y_train)
tuned = MultilabelTunedThresholdClassifierCV(
    plain,
    scoring={"f1_micro": 1, "f1_macro": 4},
    thresholds="per_label",
    random_state=0,
).fit(X_train, Y_train)

# %%
# Look at groups of labels
# ------------------------
#
# Micro-F1 is about the frequent countries. ``f1_by_label_frequency`` looks at
# three groups by themselves: more than 100 training films, 20 to 100, and
# fewer than 20.

predictions = {
    "plain": plain.predict(X_test),
    "tuned": tuned.predict(X_test),
}
table = pd.DataFrame(
    {
        name: f1_by_label_frequency(Y_test, predicted, label_counts=counts)
        | {"micro": f1_score(Y_test, predicted, average="micro")}
        for name, predicted in predictions.items()
    }
)
print(table.round(3).to_string())

fig, ax = plt.subplots(figsize=(7.5, 5.2), layout="constrained")
F1ByFrequencyDisplay.from_predictions(
    Y_test,
    predictions["tuned"],
    y_pred_before=predictions["plain"],
    label_counts=counts,
    ax=ax,
)
for text, name in zip(ax.get_legend().get_texts(), predictions, strict=True):
    text.set_text(f"{name}, {text.get_text().split(', ')[1]}")
plt.show()

# %%
# Rings are the plain model, dots the tuned one. Frequent countries gain, rare
# ones a little, and those between stay where they were. Micro-F1 gains most.
#
# ``label_weight`` is another way: it multiplies the loss of a label. Here it
# would cost the rare countries. Names that go with a country have a weaker
# penalty by default, which serves a rare country more than a weight does.
#
# Pitfalls
# --------
#
# - A label of five test rows has an F1 that one row changes by a lot. Judge
#   groups, not labels.
# - Pass ``label_counts`` of the training rows. Test rows may put a label into
#   another group.
# - One threshold for all labels, tuned for micro-F1, may cost the rare ones.
#   Look at the groups again after tuning.
# - A label that no training row has is never predicted. ``describe_labels(Y)``
#   names them.
# - Take :doc:`folds that are stratified by label <plot_stratified_splits>`.
#   Others may lack a rare label.
#
# More is in :doc:`the guide on labels and measures
# </user_guide/metrics_and_labels>`.
