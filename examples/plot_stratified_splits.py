"""
Split rows so that no fold lacks a label
========================================

Deal rows into folds, or into training and test rows, so that each part has
each label as often as it should. The labels are countries of films, many of
them rare.
"""

# %%
# Ten folds
# ---------
#
# ``StratifiedKFold`` of scikit-learn refuses several labels. Folds by chance
# leave some without a rare label. A model cannot be judged on a label that no
# test row has.

import film_data
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.inspection import label_report
from sklearn_mlce.labels import tags_to_y
from sklearn_mlce.model_selection import (
    MultilabelStratifiedKFold,
    multilabel_train_test_split,
)

films, _ = film_data.load_films()
Y = tags_to_y(films["countries"], delimiter="; ", min_count=10)
Y = Y[Y.sum().sort_values(ascending=False).index]

splitters = {
    "by chance: KFold": KFold(10, shuffle=True, random_state=0),
    "MultilabelStratifiedKFold": MultilabelStratifiedKFold(
        10, shuffle=True, random_state=0
    ),
}
counts = {
    name: np.array(
        [Y.iloc[test].sum() for _, test in splitter.split(films, Y)]
    )
    for name, splitter in splitters.items()
}

# %%
# The picture
# -----------
#
# Each column is a country, the most frequent at the left, and each point a
# fold. The line is the tenth that a fold should have. Crosses are folds
# without the country.

fig, axes = plt.subplots(
    2, 1, figsize=(9, 6.5), sharex=True, sharey=True, layout="constrained"
)
for ax, (name, count) in zip(axes, counts.items(), strict=True):
    ratio = count / (count.sum(axis=0) / 10)
    label = np.broadcast_to(np.arange(Y.shape[1]), ratio.shape)
    ax.axhline(1, color="#999999", lw=1)
    ax.plot(
        label[count > 0],
        ratio[count > 0],
        "o",
        ms=4,
        alpha=0.5,
        mew=0,
        color="#0072B2",
    )
    ax.plot(label[count == 0], ratio[count == 0], "x", color="#D55E00")
    ax.set_title(
        f"{name}: {(count == 0).sum()} times a fold lacks a country",
        loc="left",
    )
    ax.spines[["top", "right"]].set_visible(False)
fig.supylabel("films in a fold, over what is right")
shown = np.arange(0, Y.shape[1], 3)
axes[1].set_xticks(
    shown,
    [f"{Y.columns[i]} ({Y.iloc[:, i].sum()})" for i in shown],
    rotation=90,
)
plt.show()

# %%
# Report on one split, label by label
# -----------------------------------
#
# ``multilabel_train_test_split`` makes two parts in the same way.
# ``label_report`` then shows each label, and groups of labels by how frequent
# they are.

people = films["cast"].str.cat(films[["directors", "writers"]], sep="; ")
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    people, Y, train_size=3000, test_size=3000, random_state=0
)
names = TfidfVectorizer(token_pattern=r"[^;\s][^;]*", min_df=2)
model = make_pipeline(names, MLCEClassifier()).fit(X_train, Y_train)
print(label_report(Y_test, model, X_test, label_counts=Y_train.sum()))

# %%
# Pitfalls
# --------
#
# - ``cv=5`` of a scikit-learn search splits by chance. Pass
#   ``cv=MultilabelStratifiedKFold(5)``.
# - Films of one series know each other. ``MultilabelStratifiedGroupKFold``
#   keeps a group together.
# - A label of fewer rows than folds must be missing somewhere. Use fewer
#   folds, or leave it out.
# - Stratified folds differ less from each other. They do not make a model
#   better.
#
# More is in :doc:`the guide on splits </user_guide/splits>`.
