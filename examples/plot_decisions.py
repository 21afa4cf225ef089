"""
Decide for the metric that counts
=================================

Turn probabilities into labels by what the labels are for. The goal may be the
F1 of a row, the F1 of all rows together, or the best two labels of each row.
Or somebody has time to look through so many labels.
"""

# %%
# One set of probabilities, many decisions
# ----------------------------------------
#
# Calibrate first, since the rules take probabilities at their word. Each rule
# is then one call.

import film_data
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import f1_score, precision_score
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import best_within_budget, maximize_f1
from sklearn_mlce.model_selection import multilabel_train_test_split

X, Y = film_data.load_films()
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=3000, test_size=2000, random_state=0
)
model = make_pipeline(film_data.make_film_features(), MLCEClassifier())
calibrated = MultilabelCalibratedClassifierCV(model, cv=3, random_state=0).fit(
    X_train, Y_train
)
p = calibrated.predict_proba(X_test)

decisions = {
    "above one half": p > 0.5,
    'maximize_f1(p, "samples")': maximize_f1(p),
    'maximize_f1(p, "micro")': maximize_f1(p, "micro"),
    'maximize_f1(p, "macro")': maximize_f1(p, "macro"),
    "best_within_budget(p, per_row=2)": best_within_budget(p, per_row=2),
}
averages = ["samples", "micro", "macro"]
reached = np.array(
    [
        [
            f1_score(Y_test, labels, average=average, zero_division=0)
            for average in averages
        ]
        for labels in decisions.values()
    ]
)

# %%
# The picture
# -----------
#
# A row is a rule, a column the measure. The darker, the nearer to the best
# rule of the measure, which is in bold.

fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.imshow(
    reached / reached.max(axis=0),
    cmap="Blues",
    aspect="auto",
    vmin=0.3,
    vmax=1.5,
)
for (i, j), f1 in np.ndenumerate(reached):
    best = f1 == reached[:, j].max()
    ax.text(
        j,
        i,
        f"{f1:.3f}",
        ha="center",
        va="center",
        weight="bold" if best else "normal",
    )
ax.set_xticks(range(3), [f"{average}-F1" for average in averages])
ax.set_yticks(range(len(decisions)), decisions)
ax.tick_params(length=0)
ax.spines[:].set_visible(False)
plt.show()

# %%
# One half is worst in all columns. Each rule leads in its own column, or comes
# within a hair of it. The rule for rows is good in all but macro-F1, since it
# sees how many labels a row is likely to have.
#
# As many as there is time for
# ----------------------------
#
# Somebody can check so many genres in all. ``best_within_budget`` takes the
# most probable ones. The smaller the budget, the more of them are right.

budgets = [250, 500, 1000, 2000, 4000, 8000]
right = [
    precision_score(Y_test, best_within_budget(p, total=n), average="micro")
    for n in budgets
]
fig, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
ax.semilogx(budgets, right, "o-", color="#0072B2")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.set_ylim(0, 1)
ax.set_xlabel("genres to check, for 2,000 films")
ax.set_ylabel("part that is right")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Pitfalls
# --------
#
# - A rule serves its own measure. Say which one you report before you choose.
# - ``maximize_f1(p)`` gives each row a label at least. If rows without a label
#   are usual, say ``zero_division=1``.
# - The rules for micro- and macro-F1 look at all rows given. In production,
#   where rows come one by one, put the rule behind the model:
#   ``MultilabelDecisionClassifier(calibrated, decision="f1_micro")``.
# - Probabilities that are not calibrated make every rule wrong: see
#   :doc:`plot_calibration`.
#
# More is in :doc:`the guide on decisions </user_guide/decisions>`.
