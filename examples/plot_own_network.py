"""
Label pictures with a network of your own
=========================================

Train a convolutional network of your own with the estimator, instead of its
perceptron. The pictures show two to four written digits, and the labels say
which.
"""

# %%
# Pictures of several digits
# --------------------------
#
# Each picture is a board of 18 by 18 pixels. Digits of 8 by 8 pixels, from
# scikit-learn, are put on it in four places, shifted by chance. Test pictures
# have digits that no training picture has.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score
from torch import nn

from sklearn_mlce import MLCEMLP

digits, names = load_digits(return_X_y=True)
digits = digits.reshape(-1, 8, 8) / 16


def make_pictures(rows, n_pictures, rng):
    """Draw pictures of two to four digits, and say which they show."""
    pictures = np.zeros((n_pictures, 18, 18), dtype=np.float32)
    labels = np.zeros((n_pictures, 10), dtype=int)
    for picture, label in zip(pictures, labels, strict=True):
        places = rng.permutation(4)[: rng.integers(2, 5)]
        for place, row in zip(
            places, rng.choice(rows, len(places)), strict=True
        ):
            shift = rng.integers(2, size=2)
            top, left = 9 * np.array(divmod(place, 2)) + shift
            picture[top : top + 8, left : left + 8] = digits[row]
            label[names[row]] = 1
    return pictures.reshape(n_pictures, -1), labels


rng = np.random.default_rng(0)
rows = rng.permutation(len(digits))
X_train, Y_train = make_pictures(rows[:1200], 3000, rng)
X_test, Y_test = make_pictures(rows[1200:], 600, rng)

# %%
# The network
# -----------
#
# ``module`` is a function of the numbers of features and labels that makes a
# network. Loss, threshold, schedule and all else are the estimator's.


def make_network(n_features, n_labels):
    """Make two layers of convolutions; their strongest answers decide."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 18, 18)),
        nn.Conv2d(1, 16, 5, padding=2),
        nn.BatchNorm2d(16),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 64, 4, padding=1),
        nn.BatchNorm2d(64),
        nn.SiLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, n_labels),
    )


models = {
    "perceptron": MLCEMLP(random_state=0),
    "convolutions": MLCEMLP(
        module=make_network,
        input_scaling=None,
        learning_rate_init=0.01,
        max_epochs=10,
        random_state=0,
    ),
}
for name, model in models.items():
    model.fit(X_train, Y_train)
    f1 = f1_score(Y_test, model.predict(X_test), average="micro")
    print(f"{name}: micro-F1 {f1:.3f}")

# %%
# The picture
# -----------
#
# New pictures, with the digits that the convolutional network finds. Orange
# titles have a wrong digit, or lack one.

predicted = models["convolutions"].predict(X_test)
fig, axes = plt.subplots(3, 6, figsize=(9, 5.4), layout="constrained")
for ax, picture, found, true in zip(
    axes.flat, X_test, predicted, Y_test, strict=False
):
    ax.imshow(picture.reshape(18, 18), cmap="gray_r")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color("#bbbbbb")
    ax.set_title(
        " ".join(map(str, np.flatnonzero(found))),
        color="black" if (found == true).all() else "#D55E00",
    )
plt.show()

# %%
# Pitfalls
# --------
#
# - ``X`` has one row per picture: flatten before ``fit``, and ``nn.Unflatten``
#   in the network.
# - The network returns scores. Put no sigmoid at its end.
# - ``input_scaling=None`` leaves pixels as they are. The default divides each
#   column.
# - Define ``make_network`` in a module that can be imported, or the fitted
#   model cannot be stored.
#
# More is in :doc:`the guide on networks of your own
# </user_guide/torch_modules>`.
