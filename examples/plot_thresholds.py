"""
Choose the threshold
====================

Decide from which score on a label is predicted, so that F1 is as high as it
can be. This works for any multi-label classifier. Here it is one logistic
regression per genre.
"""

# %%
# One threshold for all labels
# ----------------------------
#
# The tuner fits the model on a part of the training rows and scores the
# others. Of all thresholds it takes the best on these scores. The model itself
# is not changed.

import film_data
import matplotlib.pyplot as plt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from sklearn_mlce.inspection import ThresholdCurveDisplay
from sklearn_mlce.model_selection import (
    MultilabelTunedThresholdClassifierCV,
    multilabel_train_test_split,
)

X, Y = film_data.load_films()
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=3000, test_size=1500, random_state=0
)
logistic = OneVsRestClassifier(LogisticRegression(C=20, solver="liblinear"))
model = make_pipeline(film_data.make_film_features(), logistic)

tuned = MultilabelTunedThresholdClassifierCV(
    model, random_state=0, store_cv_results=True
)
tuned.fit(X_train, Y_train)
print(f"threshold {tuned.best_thresholds_:+.2f}")

ThresholdCurveDisplay.from_tuned(tuned)
plt.show()

# %%
# The curve is the F1 of held-out rows for each threshold. Zero, which is a
# probability of one half, predicts too little. The best threshold lies well
# below it.
#
# One threshold for each label
# ----------------------------
#
# ``thresholds="per_label"`` gives each genre its own. This threshold is pulled
# towards the common threshold where a genre has few positive rows, since few
# rows say little.

options = {"scoring": "f1_macro", "thresholds": "per_label", "random_state": 0}
per_label = MultilabelTunedThresholdClassifierCV(model, **options).fit(
    X_train, Y_train
)

predictions = {
    "as it comes": tuned.estimator_.predict(X_test),
    "one threshold": tuned.predict(X_test),
    "one per label": per_label.predict(X_test),
}
for name, labels in predictions.items():
    f1 = [
        f1_score(Y_test, labels, average=average)
        for average in ("micro", "macro")
    ]
    print(f"{name:>14}: micro-F1 {f1[0]:.3f}, macro-F1 {f1[1]:.3f}")

by_label = {
    name: f1_score(Y_test, y, average=None) for name, y in predictions.items()
}
fig, ax = plt.subplots(figsize=(7, 6), layout="constrained")
ax.hlines(
    Y.columns,
    by_label["as it comes"],
    by_label["one per label"],
    color="#cccccc",
    lw=3,
)
for (name, f1), color in zip(
    by_label.items(), ["#777777", "#E69F00", "#0072B2"], strict=True
):
    ax.plot(f1, Y.columns, "o", color=color, label=name)
ax.invert_yaxis()
ax.set_xlabel("F1 on new films; frequent genres at the top")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# Every genre gains, above all those that the model never predicted. One
# threshold brings most of the gain. Thresholds per label add to macro-F1, and
# cost micro-F1.
#
# Pitfalls
# --------
#
# - Take one threshold unless macro-F1 is what counts. One is safer, and keeps
#   the ranking.
# - A threshold is the best one for one measure. Name the measure that you
#   report: ``scoring=``.
# - ``predict_proba(X) > 0.5`` ignores the threshold. Use ``predict``, or
#   ``decision_function(X) > 0``.
# - ``MLCEClassifierCV`` chooses ``C`` and the threshold together, from the
#   same fits.
#
# More is in :doc:`the guide on thresholds </user_guide/tuned_thresholds>`.
