"""
Train a network on a table with gaps
====================================

Predict labels from a table as it comes: categories beside numbers, numbers of
any size, and many values missing. Its columns are certificate, country, box
office, reviews and such.
"""

# %%
# From the table to the network
# -----------------------------
#
# Categories become columns of 0 and 1. Missing numbers become the median, with
# a column that says so. ``MLCEMLP`` scales its input by itself.

import film_data
import matplotlib.pyplot as plt
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.model_selection import multilabel_train_test_split

X, Y = film_data.load_film_table()
print(X.iloc[:3].T.to_string())
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=4000, test_size=1000, random_state=0
)

table = ColumnTransformer(
    [
        (
            "categories",
            OneHotEncoder(
                min_frequency=20, handle_unknown="infrequent_if_exist"
            ),
            make_column_selector(dtype_include="category"),
        ),
        (
            "numbers",
            SimpleImputer(strategy="median", add_indicator=True),
            make_column_selector(dtype_include="number"),
        ),
    ],
    sparse_threshold=0,
)
network = make_pipeline(table, MLCEMLP(random_state=0)).fit(X_train, Y_train)

# %%
# A linear model on the same columns is the first thing to compare with.

linear = make_pipeline(table, MLCEClassifier()).fit(X_train, Y_train)
for name, model in {"network": network, "linear": linear}.items():
    f1 = f1_score(Y_test, model.predict(X_test), average="micro")
    print(f"{name}: micro-F1 {f1:.3f}")

# %%
# Which columns matter
# --------------------
#
# Shuffle one column of the test rows and see how much worse the network
# becomes. The whole pipeline is asked, so that a column of the table is one
# bar.

importance = permutation_importance(
    network, X_test, Y_test, scoring="f1_micro", n_repeats=3, random_state=0
)
ranked = importance.importances_mean.argsort()
fig, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ax.barh(
    X.columns[ranked],
    importance.importances_mean[ranked],
    xerr=importance.importances_std[ranked],
    color="#0072B2",
    ecolor="#777777",
)
ax.set_xlabel("loss of micro-F1 if the column is shuffled")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Pitfalls
# --------
#
# - NaN in ``X`` is refused, and NaN in ``y`` means unknown. Fill ``X`` within
#   the pipeline, so that new rows are filled alike.
# - That a number is missing may say much. ``add_indicator=True`` keeps that.
# - A category with hundreds of values makes hundreds of columns.
#   ``min_frequency`` joins the rare ones.
# - Two columns that say the same hide each other in such a picture: shuffling
#   one leaves the other.
# - Forests are strong on small tables. Try one, with :doc:`a tuned threshold
#   <plot_thresholds>`.
#
# More is in :doc:`the guide on the network </user_guide/network>`.
