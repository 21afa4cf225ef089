"""
Get probabilities that can be trusted
=====================================

Make 30% mean that the label is right three times in ten. Scores are no
probabilities, and formulas that turn them into numbers between 0 and 1 do not
make them so.
"""

# %%
# Calibrate
# ---------
#
# The calibrator fits the model on a part of the training rows and looks at the
# scores of the others. For each label it learns how often a score is right.

import film_data
import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import MultilabelCalibrationDisplay
from sklearn_mlce.model_selection import multilabel_train_test_split

X, Y = film_data.load_films()
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=3000, test_size=2000, random_state=0
)
model = make_pipeline(
    film_data.make_film_features(), MLCEClassifier(loss="mlce")
)
calibrated = MultilabelCalibratedClassifierCV(model, cv=3, random_state=0).fit(
    X_train, Y_train
)

models = {
    "as they come": model.fit(X_train, Y_train),
    "calibrated": calibrated,
}
fig, axes = plt.subplots(1, 2, figsize=(9.5, 4.8), layout="constrained")
for ax, (title, fitted) in zip(axes, models.items(), strict=True):
    MultilabelCalibrationDisplay.from_estimator(fitted, X_test, Y_test, ax=ax)
    ax.set_title(title, loc="left")
plt.show()

# %%
# A point on the diagonal keeps its word. Below it, labels come true less often
# than promised. The histogram at the bottom says how many pairs of a film and
# a genre each point stands for.
#
# Decide with costs
# -----------------
#
# Say that a genre that is missed costs as much as several false ones. The
# cheapest rule is then to predict above ``1 / (1 + cost of a miss)``, if the
# probabilities are true.

ratios = np.array([1, 2, 4, 8, 16])
truth = Y_test.to_numpy() == 1
fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for (name, fitted), color in zip(
    models.items(), ["#777777", "#0072B2"], strict=True
):
    probability = fitted.predict_proba(X_test)
    print(f"{name}: squared error {np.square(probability - truth).mean():.4f}")
    costs = []
    for ratio in ratios:
        predicted = probability > 1 / (1 + ratio)
        costs.append(
            (ratio * (truth & ~predicted) + (predicted & ~truth)).sum()
            / len(truth)
        )
    ax.plot(ratios, costs, "o-", color=color, label=name)
ax.set_xscale("log", base=2)
ax.set_xticks(ratios, ratios)
ax.set_xlabel("cost of a missed genre, in false ones")
ax.set_ylabel("cost of a film")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()

# %%
# Calibrated probabilities decide at least as cheaply, and much more so where a
# miss is dear.
#
# Pitfalls
# --------
#
# - Calibrate last, on the model that you will use. Another ``C`` needs another
#   calibration.
# - The calibrator predicts above one half. That is too strict for F1: see
#   :doc:`plot_decisions`.
# - Calibrated does not mean useful. A model that always says how frequent a
#   genre is, is calibrated as well. Look at the squared error too.
# - Rows of a group, such as all films of a series, belong into one fold: pass
#   ``groups=`` to ``fit``.
#
# More is in :doc:`the guide on probabilities </user_guide/probabilities>`.
