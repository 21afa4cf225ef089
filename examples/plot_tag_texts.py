"""
Tag texts
=========

Give each new text its tags, by name, after training on texts that have tags.
Here a text is the catalogue entry of a film, and its tags are the genres.
"""

# %%
# Train on texts and lists of tags
# --------------------------------
#
# ``y`` is a list of tags for each text. Nothing has to be encoded, and names
# come out again.

import film_data
import matplotlib.pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.labels import predicted_labels, tags_to_y, top_labels

texts, tags = film_data.load_texts()
train_texts, test_texts, train_tags, test_tags = train_test_split(
    texts, tags, train_size=6000, test_size=2000, random_state=0
)
words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
model = make_pipeline(words, MLCEClassifier()).fit(train_texts, train_tags)

for text, found in zip(
    test_texts[:3], predicted_labels(model, test_texts[:3]), strict=True
):
    print(f"{text[:60]} ...\n  {', '.join(found)}")

# %%
# See the best tags of a text
# ---------------------------
#
# ``top_labels`` makes a table of the best five tags of each text. Below, dark
# bars are tags that the model predicts, and a star marks those that the film
# really has.

titles = ["Saving Private Ryan", "The Wedding Singer", "Rango", "Superman III"]
chosen = [
    test_texts.str.startswith(title).to_numpy().argmax() for title in titles
]
best = top_labels(model, test_texts.iloc[chosen], k=5)
print(best.head(5).round(2).to_string(index=False))

fig, axes = plt.subplots(
    2, 2, figsize=(9, 5.2), sharex=True, layout="constrained"
)
for ax, title, place, (_, rows) in zip(
    axes.flat, titles, chosen, best.groupby("row", sort=False), strict=True
):
    colors = [
        "#0072B2" if predicted else "#a9cbe3"
        for predicted in rows["predicted"]
    ]
    names = [
        f"{label} ★" if label in test_tags[place] else label
        for label in rows["label"]
    ]
    ax.barh(names, rows["probability"], color=colors)
    ax.invert_yaxis()
    ax.set_title(title, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
fig.supxlabel("probability")
plt.show()

# %%
# The first tag is right in three of the four films. A tag is predicted where
# that is best for F1, which is well before it is more likely than not. So
# there is rather one tag too many than one too few. Long bars mean little
# where people have played in films of all kinds, as in Superman III.
#
# How good is it?
# ---------------
#
# Metrics of scikit-learn want a matrix. ``tags_to_y`` makes it, in the order
# of the model's labels.

y_test = tags_to_y(test_tags, labels=model[-1].label_names_)
predicted = model.predict(test_texts)
for average in ("micro", "macro", "samples"):
    print(f"{average}-F1: {f1_score(y_test, predicted, average=average):.3f}")

# %%
# Pitfalls
# --------
#
# - One string such as ``"Action,Comedy"`` is not a list of tags.
#   ``tags_to_y(y, delimiter=",")`` splits it.
# - ``None`` instead of a list is an error in ``fit``: it may mean "no tag" or
#   "nobody looked". ``tags_to_y`` takes ``missing="empty"`` or
#   ``missing="unknown"``.
# - ``predict`` returns 0 and 1. For names call ``predicted_labels(model,
#   texts)``.
# - Searches and splitters of scikit-learn do not know tags. Give them
#   ``tags_to_y(tags)``.
#
# More is in :doc:`the guide on tags </user_guide/tags>`.
