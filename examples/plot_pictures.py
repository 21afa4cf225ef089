"""
Pictures of labels and models
=============================

A table of numbers says how good a model is; a picture says where. This page
draws the five displays of :mod:`sklearn_mlce.inspection` for the genres of
real films, the data of :doc:`the film example
</auto_examples/plot_film_genres>`. Each takes any multi-label estimator, and
axes of your own with ``ax=``.
"""

# %%
# What occurs together
# --------------------
#
# Look at the labels before you fit a model. Genres that often come together
# stand side by side.

import film_data
import matplotlib.pyplot as plt
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import (
    F1ByFrequencyDisplay,
    LabelCooccurrenceDisplay,
    MultilabelCalibrationDisplay,
    ThresholdCurveDisplay,
    TrainingCurveDisplay,
)
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

X, Y = film_data.load_films()
X, _, Y, _ = train_test_split(X, Y, train_size=6000, random_state=0)
X_train, X_test, Y_train, Y_test = train_test_split(
    X, Y, test_size=0.5, random_state=0
)
LabelCooccurrenceDisplay.from_labels(Y_train)
plt.show()

# %%
# What tuning bought
# ------------------
#
# The published loss puts the threshold near an even chance, which is too
# cautious for F1. A tuner moves the threshold, by the scores of films that
# were held out. First comes micro-F1 against one threshold for all genres,
# with the F1 of two single genres.

published = make_pipeline(
    film_data.make_film_features(), MLCEClassifier(loss="mlce")
)
tuned = MultilabelTunedThresholdClassifierCV(published, random_state=0).fit(
    X_train, Y_train
)
ThresholdCurveDisplay.from_estimator(
    tuned, X_test, Y_test, labels=["Drama", "Western"]
)
plt.show()

# %%
# Then comes the F1 of each genre before and after, against its number of
# training films.

F1ByFrequencyDisplay.from_estimator(
    tuned, X_test, Y_test, label_counts=Y_train.sum(axis=0)
)
plt.show()

# %%
# Are the probabilities right?
# ----------------------------
#
# The model gives a probability to each pair of a film and a genre. Of the
# pairs with 30%, are 30% right? The histogram below each curve counts the
# pairs.

calibrated = MultilabelCalibratedClassifierCV(published, random_state=0).fit(
    X_train, Y_train
)
fig, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
for ax, (title, model) in zip(
    axes,
    {"as they come": tuned, "calibrated": calibrated}.items(),
    strict=True,
):
    MultilabelCalibrationDisplay.from_estimator(model, X_test, Y_test, ax=ax)
    ax.set_title(title)
plt.show()

# %%
# How a network trained
# ---------------------
#
# The loss of the training films keeps falling. Micro-F1 of films that the
# network has not seen says when to stop. The epoch of its highest value is
# kept.

network = MLCEMLP(early_stopping=True, scoring="f1_micro", random_state=0)
network = make_pipeline(film_data.make_film_features(), network).fit(
    X_train, Y_train
)
TrainingCurveDisplay.from_estimator(network)
plt.show()

# %%
# Pitfalls
# --------
#
# - Draw from rows that the model has not seen. On its training rows every
#   model looks good.
# - With hundreds of labels only some can be named: choose them with
#   ``labels=``.
# - A curve of a rare label rests on few rows. Look at the histogram below it.
#
# More is in :doc:`the guide on pictures </user_guide/pictures>`.
