"""
Serve a small model without torch
=================================

Train where torch is installed, and answer requests where it is not, from a
file of a few hundred kilobytes.
"""

# %%
# Make the model small
# --------------------
#
# A linear model has a coefficient for each word and each label, and most of
# them hardly move a score. ``coef_threshold`` leaves those out. skops writes a
# file that runs no code when it is loaded.

import subprocess
import sys
import tempfile
from pathlib import Path

import film_data
import matplotlib.pyplot as plt
import skops.io
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.labels import tags_to_y
from sklearn_mlce.model_selection import multilabel_train_test_split

texts, tags = film_data.load_texts()
y = tags_to_y(tags)
X_train, X_test, y_train, y_test = multilabel_train_test_split(
    texts, y, train_size=3000, test_size=1500, random_state=0
)
folder = Path(tempfile.mkdtemp())

thresholds = [0, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2]
sizes, f1 = [], []
for threshold in thresholds:
    model = make_pipeline(
        TfidfVectorizer(min_df=2), MLCEClassifier(coef_threshold=threshold)
    )
    model.fit(X_train, y_train)
    file = folder / f"films_{threshold:g}.skops"
    skops.io.dump(model, file, compression=8)
    sizes.append(file.stat().st_size / 1e6)
    f1.append(f1_score(y_test, model.predict(X_test), average="micro"))
    print(f"{threshold:g}: {sizes[-1]:.2f} MB, micro-F1 {f1[-1]:.3f}")

# %%
# The picture
# -----------

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(sizes, f1, "o-", color="#0072B2")
for size, value, threshold in zip(sizes, f1, thresholds, strict=True):
    ax.annotate(
        f"{threshold:g}",
        (size, value),
        (0, 8),
        textcoords="offset points",
        ha="center",
    )
ax.set_xlim(0)
ax.set_ylim(0, 0.6)
ax.set_xlabel("MB of the file (coef_threshold at each point)")
ax.set_ylabel("micro-F1 on new films")
ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# More than half of the file can go before F1 notices.
#
# Answer without torch
# --------------------
#
# The server needs NumPy, SciPy, scikit-learn, joblib and skops. ``NoTorch``
# hides torch from it, as if torch were not installed. The names of the genres
# come with the model.

server = """
import sys


class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name=name)


sys.meta_path.insert(0, NoTorch())

import skops.io
from sklearn_mlce.labels import predicted_labels

file, *texts = sys.argv[1:]
trusted = ["sklearn_mlce.MLCEClassifier", "scipy.sparse._csc.csc_array"]
for names in predicted_labels(skops.io.load(file, trusted=trusted), texts):
    print(", ".join(names))
print("torch was loaded:", "torch" in sys.modules)
"""
asked = X_test.iloc[:3].tolist()
small = folder / "films_0.001.skops"
answer = subprocess.run(
    [sys.executable, "-c", server, str(small), *asked],
    capture_output=True,
    text=True,
    check=True,
)
*lines, last = answer.stdout.splitlines()
for text, line in zip(asked, lines, strict=True):
    print(f"{text[:50]} ...\n  {line}")
print(last)

# %%
# Pitfalls
# --------
#
# - ``fit`` needs torch, and so does ``MLCEMLP``. Without torch, linear models
#   answer, with thresholds and calibration around them.
# - ``pip install .`` installs torch too. On the server type ``pip install
#   --no-deps .``, and install the five packages above.
# - Load with the scikit-learn that saved the model, or a newer one.
# - The size is in the words too: ``min_df=2`` or ``max_features=`` shortens
#   the list of them.
# - Where there is no Python, take ONNX. Within a torch program, take
#   ``model[-1].to_torch()``.
#
# More is in :doc:`the guide on serving </user_guide/serving>`.
