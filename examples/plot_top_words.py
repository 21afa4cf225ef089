"""
See which words drive a label
=============================

Ask a fitted model what speaks for a label and what against it. With names as
features, the answer says which people stand for a genre.
"""

# %%
# The strongest features of a label
# ---------------------------------
#
# ``top_features`` makes a table with the names that the pipeline gives its
# features.

import film_data
import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.labels import top_features
from sklearn_mlce.model_selection import multilabel_train_test_split

X, Y = film_data.load_films()
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=6000, test_size=500, random_state=0
)
model = make_pipeline(film_data.make_film_features(), MLCEClassifier()).fit(
    X_train, Y_train
)
table = top_features(model, k=8)
print(
    table[table["label"] == "Western"].to_string(
        index=False, float_format="{:.2f}".format
    )
)

# %%
# The picture
# -----------

fig, axes = plt.subplots(2, 2, figsize=(9, 8), layout="constrained")
for ax, genre in zip(
    axes.flat, ["Western", "Sci-Fi", "War", "Animation"], strict=True
):
    rows = table[table["label"] == genre].sort_values("weight")
    names = rows["feature"].str.replace("__", ": ")
    ax.barh(
        names,
        rows["weight"],
        color=["#D55E00" if w < 0 else "#0072B2" for w in rows["weight"]],
    )
    ax.axvline(0, color="#999999", lw=1)
    ax.set_title(genre, loc="left")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False, labelsize=8)
fig.supxlabel("weight: for the genre at the right, against it at the left")
plt.show()

# %%
# Words of the title and people who stay with a genre speak for it. Numbers
# have a weight as well: long films are no animation, and westerns are old.
# Features against a genre are often signs of another one.
#
# Why this film?
# --------------
#
# The weights times the features of one row say what made its score. The rest
# is the intercept.

row = 3
features = model[0].transform(X_test.iloc[[row]])
names = model[0].get_feature_names_out()
label = model[-1].decision_function(features)[0].argmax()
print(f"{X_test['title'].iloc[row]}: {Y.columns[label]}")
share = features.multiply(model[-1].coef_[label]).tocoo()
for value, column in sorted(
    zip(share.data, share.col, strict=True), reverse=True
)[:5]:
    print(f"  {value:+.2f}  {names[column]}")

# %%
# Pitfalls
# --------
#
# - A weight is not a cause. Of two names that always come together, both get a
#   half of it.
# - Weights of features on different scales do not compare. TF-IDF features are
#   on one scale.
# - A rare word may have a large weight from two rows. ``min_df=2`` or more
#   leaves such words out.
# - A network or a forest has no weights: pass rows, ``top_features(model,
#   X=rows)``.
#
# More is in :doc:`the guide on tags </user_guide/tags>`. SHAP draws the same
# for single rows: see :doc:`the page on other tools
# </user_guide/other_tools>`.
