"""
Stop the training in time
=========================

End the training of a network when new rows no longer get better, and keep the
weights of the best epoch.
"""

# %%
# Watch rows that are held out
# ----------------------------
#
# With ``early_stopping=True`` a tenth of the rows is not trained on. After
# each epoch they are scored. Training ends when the score has not improved for
# ten epochs. Here the step size stays the same and nothing else holds the
# network back, so that the turn is easy to see.

import film_data
import matplotlib.pyplot as plt
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import f1_score
from sklearn.preprocessing import OneHotEncoder

from sklearn_mlce import MLCEMLP
from sklearn_mlce.inspection import TrainingCurveDisplay
from sklearn_mlce.model_selection import multilabel_train_test_split

X, Y = film_data.load_film_table()
X_train, X_test, Y_train, Y_test = multilabel_train_test_split(
    X, Y, train_size=3000, test_size=1500, random_state=0
)
columns = (
    X.columns.to_series().groupby(X.dtypes.astype(str) == "category").agg(list)
)
table = make_column_transformer(
    (
        OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"),
        columns[True],
    ),
    (SimpleImputer(strategy="median", add_indicator=True), columns[False]),
    sparse_threshold=0,
)
X_train, X_test = table.fit_transform(X_train), table.transform(X_test)

options = {
    "learning_rate": "constant",
    "learning_rate_init": 0.01,
    "dropout": 0.0,
    "alpha": 0.0,
}
fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, scoring in zip(axes, ["loss", "f1_micro"], strict=True):
    network = MLCEMLP(
        early_stopping=True,
        scoring=scoring,
        max_epochs=60,
        random_state=0,
        **options,
    )
    network.fit(X_train, Y_train)
    TrainingCurveDisplay.from_estimator(network, ax=ax)
    ax.set_title(f'scoring="{scoring}"', loc="left")
    f1 = f1_score(Y_test, network.predict(X_test), average="micro")
    epochs = f"kept epoch {network.best_epoch_} of {network.n_iter_}"
    print(f"{scoring}: {epochs}, micro-F1 {f1:.3f}")
plt.show()

# %%
# The training loss keeps falling. The validation loss turns and rises: from
# there on the network learns its rows by heart. F1 is noisier than the loss,
# and turns later or not at all.
#
# Compare with no early stopping
# ------------------------------
#
# By default dropout, weight decay and a step size that fades out keep the
# network from learning by heart. All rows are trained on. Which way is better
# depends on the data: compare both, as here.

default = MLCEMLP(random_state=0).fit(X_train, Y_train)
f1 = f1_score(Y_test, default.predict(X_test), average="micro")
print(f"default, {default.n_iter_} epochs: micro-F1 {f1:.3f}")

# %%
# Pitfalls
# --------
#
# - On a few hundred rows, the held-out tenth is too small to tell. Leave early
#   stopping out there.
# - ``scoring`` takes what you will be judged by, such as ``"f1_macro"``. The
#   loss is the calmest.
# - Rows of one group should be held out together: pass ``X_val`` and ``y_val``
#   to ``fit``.
# - A fit that lasts for hours wants ``checkpoint_dir=`` and ``resume=True`` as
#   well.
#
# More is in :doc:`the guide on long trainings </user_guide/long_trainings>`.
