"""
Train on labels that are partly unknown
=======================================

Use rows in which somebody has checked a few labels and nobody knows the
others. Write NaN for "nobody has looked": such a label takes no part in the
training.
"""

# %%
# NaN is not zero
# ---------------
#
# Here all genres are known, so we can hide some and see what that costs. Each
# genre of each film is kept with the chance ``known``. The hidden ones become
# NaN for one model. For the other model they become 0, as in a table that
# lists only what was found.

import film_data
import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import f1_score

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.metrics import masked_f1_score
from sklearn_mlce.model_selection import multilabel_train_test_split

X, Y = film_data.load_films()
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=3000, test_size=1500, random_state=0
)
features = film_data.make_film_features().fit(X_train)
X_train, X_test = features.transform(X_train), features.transform(X_test)

rng = np.random.default_rng(0)
known = [0.1, 0.2, 0.4, 0.7, 1.0]
f1 = {"hidden labels as NaN": [], "hidden labels as 0": []}
for part in known:
    y = Y_train.where(rng.random(Y_train.shape) < part)
    for name, y_seen in zip(f1, [y, y.fillna(0)], strict=True):
        model = MLCEClassifier().fit(X_train, y_seen)
        f1[name].append(
            f1_score(Y_test, model.predict(X_test), average="micro")
        )
        print(f"{part:4.0%} known, {name}: micro-F1 {f1[name][-1]:.3f}")

# %%
# The picture
# -----------

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, values), color in zip(
    f1.items(), ["#0072B2", "#D55E00"], strict=True
):
    ax.plot(known, values, "o-", color=color, label=name)
ax.set_xlabel("part of the labels that is known")
ax.set_ylabel("micro-F1 on new films")
ax.set_ylim(0)
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
# With NaN, a fifth of the labels does most of the work. A zero for an unknown
# label teaches the model that most genres are absent, until it predicts next
# to nothing.
#
# Measure on what is known
# ------------------------
#
# Metrics of scikit-learn refuse NaN. ``masked_f1_score`` counts the known
# labels alone.

Y_partly = Y_test.where(rng.random(Y_test.shape) < 0.3)
predicted = model.predict(X_test)
print(f"F1 on all labels: {f1_score(Y_test, predicted, average='micro'):.3f}")
print(f"F1 on 30% of them: {masked_f1_score(Y_partly, predicted):.3f}")

# %%
# Pitfalls
# --------
#
# - Here chance has decided what is hidden. If people check a label only where
#   they expect it, most known labels are positive, and the model predicts too
#   much.
# - A sparse ``y`` with NaN is refused. Use a dense one, or a DataFrame.
# - Lists of tags: ``tags_to_y(tags, missing="unknown")`` makes NaN of a row
#   without a list.
# - In searches of scikit-learn, ``cv=3`` refuses NaN. Pass ``KFold(3)`` or
#   ``MultilabelStratifiedKFold(3)``.
#
# More is in :doc:`the guide on labels and measures
# </user_guide/metrics_and_labels>`.
