"""
Typed spans in short texts
==========================

Find the words of a sentence that name a person, a place, an organisation or a
date. An answer is a set of *spans*: each has a first word, a last word and a
type. Spans may lie inside others: the *University of Leeds* is an
organisation, and *Leeds* a place. A tag for each word cannot say that. A yes
or no for each pair of words and each type can. Nearly all of these answers are
no, and the multi-label softmax cross-entropy is made for that.
:class:`~sklearn_mlce.nn.PairScore` gives the scores, and zero is the
threshold.

The sentences here are made up, so that the page needs no data and runs in
seconds.
"""

# %%
# Sentences with their spans
# --------------------------
#
# Sentences are filled in from patterns. A bracket opens with the type of a
# span; brackets may be nested. Some of the names are kept back: only the
# sentences for the test have them.

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from sklearn_mlce.losses import mlce_loss
from sklearn_mlce.nn import PairScore

TYPES = ["person", "place", "organisation", "date"]
PATTERNS = """
[person {name}] left [place {town}] in [date {month} {year}] and never came back
last [date {month}] , [person {name}] of the [organisation University of [place {town}]] spoke
the [organisation [place {town}] Chess Club] was founded in [date {year}] by [person {name}]
[person {name}] and [person {name}] met in [place {town}]
it rains in [place {town}] from [date {month}] to [date {month}]
the [organisation [person {name}] Society] moved from [place {town}] to [place {town}]
nobody at the [organisation Bank of [place {town}]] remembers [person {name}]
since [date {month} {year}] the train does not stop here
""".strip().splitlines()
WORDS = {
    "first": [
        "Ada",
        "Emmy",
        "Grace",
        "Mary",
        "Carl",
        "Leonhard",
        "Henri",
        "Alan",
        "David",
    ],
    "last": [
        "Hill",
        "Brook",
        "Wood",
        "Field",
        "Stone",
        "Marsh",
        "Lake",
        "Green",
        "Ford",
        "Banks",
    ],
    "town": [
        "Leeds",
        "Turin",
        "Graz",
        "New York",
        "Saint Malo",
        "San Marino",
        "Den Haag",
    ],
    "month": [
        "January",
        "March",
        "April",
        "June",
        "July",
        "October",
        "December",
    ],
    "year": [str(year) for year in range(1890, 1990, 7)],
}
NEW_WORDS = {
    **WORDS,
    "first": ["Maryam", "Olga", "Felix"],
    "last": ["Moor", "Heath", "Bridge"],
    "town": ["Ghent", "Santa Fe", "Kiel"],
}


def draw_sentence(words, rng):
    """Return words of a sentence, and spans (type, first, last word)."""
    text = rng.choice(PATTERNS)
    for slot in ("{name}", "{town}", "{month}", "{year}"):
        while slot in text:
            options = words.get(slot[1:-1], words["first"])
            filling = rng.choice(options)
            if slot == "{name}" and rng.random() < 0.7:
                filling += " " + rng.choice(words["last"])
            text = text.replace(slot, filling, 1)
    sentence, spans, opened = [], [], []
    for piece in text.split():
        if piece.startswith("["):
            opened.append((TYPES.index(piece[1:]), len(sentence)))
            continue
        sentence.append(piece.rstrip("]"))
        for _ in range(piece.count("]")):
            spans.append((*opened.pop(), len(sentence) - 1))
    return sentence, spans


rng = np.random.default_rng(0)
training = [draw_sentence(WORDS, rng) for _ in range(800)]
test = [draw_sentence(NEW_WORDS, rng) for _ in range(200)]
n_pairs = sum(
    len(TYPES) * len(words) * (len(words) + 1) // 2 for words, _ in training
)
n_spans = sum(len(spans) for _, spans in training)
print("a sentence:", " ".join(training[0][0]))
for a, first, last in training[0][1]:
    print(f"{TYPES[a]:>13}:", " ".join(training[0][0][first : last + 1]))
print(f"{n_pairs / n_spans:.0f} pairs of words and types for each span")

# %%
# Words become numbers. A word that training has not seen is number 0; so that
# the network knows what to make of it, half of the words of the training
# sentences are hidden as well. Number 1 fills up the shorter sentences.
#
# The target of a pair is 1 where it is a span. Pairs whose last word is before
# the first, and those of the padding, are NaN: unknown, they take no part in
# the loss.

vocabulary = {word for words, _ in training for word in words}
number_of = {word: i for i, word in enumerate(sorted(vocabulary), start=2)}
HIDDEN, PADDING = 0, 1


def encode(sentences):
    """Word numbers (n, T) and targets (n, types, T, T) of sentences."""
    length = max(len(words) for words, _ in sentences)
    numbers = torch.full((len(sentences), length), PADDING)
    targets = torch.full(
        (len(sentences), len(TYPES), length, length), torch.nan
    )
    for row, (words, spans) in enumerate(sentences):
        numbers[row, : len(words)] = torch.tensor(
            [number_of.get(word, HIDDEN) for word in words]
        )
        ordered = torch.ones(len(words), len(words)).triu().bool()
        targets[row, :, : len(words), : len(words)] = torch.where(
            ordered, 0.0, torch.nan
        )
        for a, i, j in spans:
            targets[row, a, i, j] = 1
    return numbers, targets


# %%
# A small network
# ---------------
#
# A recurrent layer reads each sentence in both directions and gives each word
# a vector that knows its neighbours. ``PairScore`` makes a score of every pair
# of them for each type. In the loss each type of each sentence is a row, and
# all pairs of words are its labels.


class SpanFinder(nn.Module):
    """Scores (n, types, T, T) of word numbers (n, T)."""

    def __init__(self, n_words, n_types, n_features=32):
        super().__init__()
        self.embed = nn.Embedding(n_words, n_features)
        self.read = nn.LSTM(
            n_features, n_features, batch_first=True, bidirectional=True
        )
        self.score = PairScore(2 * n_features, n_types, pair_features=32)

    def forward(self, numbers):
        """Read the sentences and score their pairs."""
        vectors, _ = self.read(self.embed(numbers))
        return self.score(vectors)


torch.manual_seed(0)
model = SpanFinder(len(number_of) + 2, len(TYPES))
numbers, targets = encode(training)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
fade_out = torch.optim.lr_scheduler.LinearLR(
    optimizer, 1.0, 0.0, total_iters=15
)

for _ in range(15):
    for rows in torch.randperm(len(training)).split(30):
        batch = numbers[rows]
        hidden = (torch.rand(batch.shape) < 0.5) & (batch != PADDING)
        scores = model(batch.masked_fill(hidden, HIDDEN))
        loss = mlce_loss(scores.flatten(-2), targets[rows].flatten(-2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fade_out.step()

# %%
# Sentences with new names
# ------------------------
#
# The test sentences have names of people and towns that no training sentence
# had. A span is found if its score is above zero, and counts as right if its
# type and both its ends are.

test_numbers, test_targets = encode(test)
with torch.no_grad():
    test_scores = model(test_numbers)
known = ~test_targets.isnan()
found, true = (test_scores > 0) & known, test_targets == 1
for a, name in enumerate(TYPES):
    right = (found & true)[:, a].sum().item()
    counts = f"{true[:, a].sum()} spans, {found[:, a].sum()} found"
    print(f"{name:>13}: {counts}, {right} of them right")

# %%
# Here are the scores of one sentence. The first word of a pair is the row, the
# last word the column. Nearly all scores lie below zero. The spans are where
# scores lie above zero, and a tick marks them.

chosen = next(
    i
    for i, (words, spans) in enumerate(test)
    if len(spans) == 4 and len(words) > 9
)
words = test[chosen][0]
length = len(words)

fig, axes = plt.subplots(
    2, 2, figsize=(9, 8.4), sharex=True, sharey=True, layout="constrained"
)
for a, ax in enumerate(axes.flat):
    scores = test_scores[chosen, a, :length, :length].numpy()
    image = ax.imshow(
        np.where(np.tri(length, k=-1), np.nan, scores),
        cmap="Blues",
        vmin=-10,
        vmax=10,
    )
    for i, j in torch.nonzero(found[chosen, a]).tolist():
        mark = "✓" if true[chosen, a, i, j] else "✗"
        ax.text(j, i, mark, color="white", ha="center", va="center")
    ax.set_xticks(range(length), words, rotation=90)
    ax.set_yticks(range(length), words)
    ax.set_title(TYPES[a])
fig.supylabel("first word of the span")
fig.supxlabel("last word of the span")
fig.colorbar(image, ax=axes, label="score", shrink=0.6)
plt.show()

# %%
# The next picture draws the spans that were found in some sentences. Spans
# inside spans are found too. Words that no training sentence had are slanted.

COLORS = ["#0072B2", "#009E73", "#D55E00", "#8c5fa8"]
shown = [
    chosen,
    *[i for i in range(len(test)) if len(test[i][1]) >= 3 and i != chosen][:4],
]

fig, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
for line, row in enumerate(shown):
    words = test[row][0]
    edges = np.cumsum([0.0] + [len(word) + 1.5 for word in words])
    for word, left in zip(words, edges[:-1], strict=True):
        style = "normal" if word in vocabulary else "italic"
        ax.text(
            left, -line, word, family="monospace", fontsize=13, style=style
        )
    spans = torch.nonzero(found[row]).tolist()
    for a, i, j in sorted(spans, key=lambda span: span[2] - span[1]):
        inner = sum(i <= first and last <= j for _, first, last in spans) - 1
        height = -line - 0.15 - 0.25 * inner
        ax.plot(
            [edges[i], edges[j + 1] - 1.5],
            [height, height],
            color=COLORS[a],
            lw=4,
        )
for color, name in zip(COLORS, TYPES, strict=True):
    ax.plot([], [], color=color, lw=4, label=name)
ax.legend(frameon=False, ncols=4, loc="upper left", bbox_to_anchor=(0, 1.12))
ax.set_xlim(0, 80)
ax.set_ylim(-len(shown) + 0.3, 0.6)
ax.axis("off")
plt.show()

# %%
# Pitfalls
# --------
#
# - The number of pairs grows with the square of the sentence. Cut long texts
#   into sentences.
# - Mark pairs that cannot be spans as NaN. As zeros, they would be most of
#   what the network learns.
# - Spans of one type may overlap: nothing makes the network choose.
# - These sentences are made from templates. Real ones are harder.
