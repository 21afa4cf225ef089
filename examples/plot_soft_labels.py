"""
Train on soft labels
====================

Learn labels that hold to a degree, such as the votes of several people,
instead of yes and no. Here a row is an actor. Four comedies among ten films
make a degree of 0.4 for comedy.
"""

# %%
# Degrees as y
# ------------
#
# ``fit`` takes numbers between 0 and 1. ``predict_proba`` then returns
# degrees. The features of an actor are the directors, writers, languages and
# countries of the films, without the genres.

import film_data
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier

films, genres = film_data.load_films()
texts = films["directors"].str.cat(
    films[["writers", "languages", "countries"]], sep="; "
)
cast = films["cast"].str.split("; ").explode()
cast = cast[
    cast.groupby(cast).transform("size").between(15, 60) & (cast != "")
]
X = texts[cast.index].groupby(cast.to_numpy()).agg("; ".join)
Y = genres.loc[cast.index].groupby(cast.to_numpy()).mean()
print(f"{len(X)} actors")
X_train, X_test, Y_train, Y_test = train_test_split(X, Y, random_state=0)

names = TfidfVectorizer(
    token_pattern=r"[^;\s][^;]*", min_df=2, sublinear_tf=True
)
soft = make_pipeline(names, MLCEClassifier()).fit(X_train, Y_train)
rounded = make_pipeline(names, MLCEClassifier(loss="mlce")).fit(
    X_train, (Y_train >= 0.5) * 1
)

# %%
# The picture
# -----------
#
# Each point is an actor that the models have not seen.

fig, axes = plt.subplots(
    1, 2, figsize=(9, 4.6), sharey=True, layout="constrained"
)
models = {"trained on degrees": soft, "trained on rounded labels": rounded}
for ax, (title, model) in zip(axes, models.items(), strict=True):
    degrees = pd.DataFrame(
        model.predict_proba(X_test), Y_test.index, Y.columns
    )
    error = (degrees - Y_test).abs().to_numpy().mean()
    for genre, color in {"Comedy": "#0072B2", "Horror": "#D55E00"}.items():
        ax.plot(
            Y_test[genre],
            degrees[genre],
            "o",
            ms=4,
            alpha=0.5,
            mew=0,
            color=color,
            label=genre,
        )
    ax.plot([0, 1], [0, 1], color="#999999", lw=1)
    ax.set_title(f"{title}: error {error:.3f}", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("predicted degree")
axes[0].legend(frameon=False)
fig.supxlabel("part of the actor's films")
plt.show()

# %%
# The error is the mean distance over all genres. Points at the left follow the
# diagonal. Rounding throws away whether a degree was 0.05 or 0.45, and the
# model cannot find that again.
#
# Pitfalls
# --------
#
# - New actors play in films with known ones. Were they to come from other
#   films, the error would be larger: split by group then.
# - ``loss="auto"`` takes the published loss for degrees, and a hinge for 0 and
#   1. A hinge is no good for degrees, so leave ``loss`` alone.
# - ``predict`` still says yes or no: yes above one half.
# - Metrics of scikit-learn for labels refuse degrees. Take an error, as above,
#   or round ``y`` and count how often ``predict`` is right.
# - A degree of NaN is unknown, as in :doc:`plot_unknown_labels`.
#
# More is in :doc:`the guide on probabilities </user_guide/probabilities>`.
