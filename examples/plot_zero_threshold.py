"""
The zero threshold, drawn
=========================

The multi-label softmax cross-entropy (MLCE) asks the scores of a row's labels
to lie above zero, and the other scores below. This page draws what pulls at a
score, and where the scores end up. Then it shows a thousand labels, and
targets between 0 and 1.

This page is about the published loss, ``loss="mlce"`` in the estimators. Its
mathematics is in :doc:`the user guide </user_guide/loss_and_threshold>`. By
default the estimators train :doc:`a relative of it
</user_guide/choice_of_the_loss>`.
"""

# %%
# What pulls at a score
# ---------------------
#
# Take one row that has three of nine labels, and scores as a half-trained
# model might give them. ``backward()`` computes how the loss changes with each
# score. The pull is the opposite: a step of gradient descent follows it.

import matplotlib.pyplot as plt
import numpy as np
import torch

from sklearn_mlce.losses import mlce_loss

POSITIVE, NEGATIVE, BETWEEN = "#0072B2", "#D55E00", "#8c8c8c"
plt.rcParams.update(
    {"axes.spines.top": False, "axes.spines.right": False, "font.size": 13}
)

scores = torch.tensor(
    [2.2, 0.7, -0.9, 1.4, 0.3, -0.2, -1.0, -1.8, -2.6], requires_grad=True
)
targets = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0])

loss = mlce_loss(scores, targets)
loss.backward()
pull = -scores.grad

print(f"loss {loss.item():.3f}")
for score, target, step in zip(
    scores.tolist(), targets.tolist(), pull.tolist(), strict=True
):
    which = "applies" if target else "not"
    print(f"{which:>8}  score {score:+.1f}  pull {step:+.2f}")

# %%
# The pulls on the other labels are a softmax of their scores. So the highest
# of them, +1.4, takes most of the pull. The pulls on the labels of the row are
# a softmax of the *negated* scores. In both, the threshold takes part with the
# score 0, and its share pulls at no label. As soon as all scores lie well on
# their own side, the threshold takes nearly everything.

fig, (ax, ax_share) = plt.subplots(
    1, 2, figsize=(11, 4.8), width_ratios=[3, 2], layout="tight"
)

place = np.arange(len(scores))
values, steps = scores.detach().numpy(), pull.numpy()
colors = np.where(targets.numpy() == 1, POSITIVE, NEGATIVE)
ax.axhline(0, color="black", lw=1.2)
ax.text(len(place) - 0.6, 0.08, "threshold", ha="right", va="bottom")
for x, value, step, color in zip(place, values, steps, colors, strict=True):
    arrow = {
        "arrowstyle": "-|>",
        "color": color,
        "lw": 2,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    if abs(step) > 0.05:  # a shorter arrow would hide behind its dot
        tip = value + 2 * step + 0.15 * np.sign(step)
        ax.annotate("", xy=(x, tip), xytext=(x, value), arrowprops=arrow)
ax.scatter(place, values, s=90, c=colors, zorder=3, edgecolor="white")
ax.set_xticks(place, [f"label {i}" for i in place], rotation=45, ha="right")
ax.set_ylabel("score")
ax.set_title("Nine scores, and the pull on each", loc="left")
ax.scatter([], [], s=90, c=POSITIVE, label="labels of the row: to be above")
ax.scatter([], [], s=90, c=NEGATIVE, label="other labels: to be below")
ax.legend(frameon=False, loc="upper right")

for y, target, color, side in [
    (1, 1, POSITIVE, "labels of the row"),
    (0, 0, NEGATIVE, "other labels"),
]:
    left = 0.0
    for i in np.flatnonzero(targets.numpy() == target):
        width = abs(steps[i])
        ax_share.barh(
            y, width, left=left, color=color, edgecolor="white", height=0.5
        )
        if width > 0.06:
            ax_share.text(
                left + width / 2,
                y,
                str(i),
                ha="center",
                va="center",
                color="white",
            )
        left += width
    ax_share.barh(
        y, 1 - left, left=left, color="#d0d0d0", edgecolor="white", height=0.5
    )
    ax_share.text((left + 1) / 2, y - 0.3, "threshold", ha="center", va="top")
    ax_share.text(0, y + 0.3, side, color=color, va="bottom")
ax_share.set_yticks([])
ax_share.spines["left"].set_visible(False)
ax_share.set_xlim(0, 1)
ax_share.set_ylim(-0.5, 1.7)
ax_share.set_xlabel("share of the pull")
ax_share.set_title("Who gets the pull: two softmaxes", loc="left")
plt.show()

# %%
# Where the scores end up
# -----------------------
#
# Now let 30 scores move freely from a random start. The row has three of the
# labels. Gradient descent on the loss sorts the scores, and the worst ones
# move first. The dashed line marks the step at which the loss falls below
# ``log 2``. From there on every label is on its own side, since a single one
# on the wrong side costs at least ``log 2``.

generator = torch.Generator().manual_seed(0)
scores = torch.randn(30, generator=generator).requires_grad_()
targets = torch.zeros(30)
targets[:3] = 1

optimizer = torch.optim.SGD([scores], lr=2.0)
path, losses = [], []
for _ in range(80):
    optimizer.zero_grad()
    loss = mlce_loss(scores, targets)
    loss.backward()
    path.append(scores.detach().numpy().copy())
    losses.append(loss.item())
    optimizer.step()
path = np.array(path)
below_log_2 = int(np.argmax(np.array(losses) < np.log(2)))

fig, ax = plt.subplots(figsize=(9, 4.2), layout="tight")
ax.plot(path[:, 3:], color=NEGATIVE, lw=0.8, alpha=0.6)
ax.plot(path[:, :3], color=POSITIVE, lw=2.2)
ax.axhline(0, color="black", lw=1.2)
ax.axvline(below_log_2, color=BETWEEN, ls="--", lw=1.2)
ax.text(below_log_2 + 1, 0.2, "loss < log 2", color=BETWEEN, va="bottom")
ax.plot([], [], color=POSITIVE, lw=2.2, label="3 labels of the row")
ax.plot([], [], color=NEGATIVE, lw=0.8, label="27 others")
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.33, 0.78))
ax.set_xlim(0, len(path) - 1)
ax.set_xlabel("step of gradient descent")
ax.set_ylabel("score")
ax.set_title("The labels part at zero", loc="left")
plt.show()

# %%
# A thousand labels
# -----------------
#
# A row has three labels, and all scores are zero, as in an untrained model.
# The picture divides the push on all other labels by the pull on the three.
# With one binary cross-entropy per label the ratio grows with the number of
# labels: a model first learns to say no to everything. MLCE keeps the two
# sides even, however many labels there are.

n_labels = np.unique(np.geomspace(5, 4000, 30).astype(int))


def push_per_pull(loss_function, n):
    """Total push on labels that do not apply over that on the three others."""
    scores = torch.zeros(n, requires_grad=True)
    targets = torch.zeros(n)
    targets[:3] = 1
    loss_function(scores, targets).backward()
    return (scores.grad[3:].sum() / -scores.grad[:3].sum()).item()


binary_cross_entropy = torch.nn.functional.binary_cross_entropy_with_logits
ratios = {
    name: [push_per_pull(loss_function, n) for n in n_labels]
    for name, loss_function in [
        ("one binary cross-entropy per label", binary_cross_entropy),
        ("MLCE", mlce_loss),
    ]
}

fig, ax = plt.subplots(figsize=(9, 4), layout="tight")
for (name, ratio), color in zip(
    ratios.items(), [NEGATIVE, POSITIVE], strict=True
):
    ax.loglog(n_labels, ratio, color=color, lw=2.5)
    ax.text(
        n_labels[-1],
        ratio[-1] * 1.35,
        f"{name}: {ratio[-1]:,.1f}",
        color=color,
        ha="right",
    )
ax.axhline(1, color=BETWEEN, lw=1, ls="--")
ax.text(n_labels[-1], 0.9, "even", color=BETWEEN, ha="right", va="top")
ax.set_ylim(0.4, 4000)
ax.set_xlabel("number of labels, of which three apply")
ax.set_ylabel("push down / pull up")
ax.set_title("How many labels there are does not tip the balance", loc="left")
plt.show()

# %%
# Targets between 0 and 1
# -----------------------
#
# A target may also say *how far* a row has a label. Give 41 labels of one row
# the targets 0.01 to 0.99. An optimiser finds the scores of the least loss.
# They satisfy ``target = sigmoid(2 * score)``. So a target of one half has the
# score zero.

targets = torch.linspace(0.01, 0.99, 41, dtype=torch.float64)
scores = torch.zeros_like(targets, requires_grad=True)
optimizer = torch.optim.LBFGS(
    [scores],
    max_iter=500,
    tolerance_grad=1e-10,
    tolerance_change=0,
    line_search_fn="strong_wolfe",
)


def closure():
    """Loss and gradient, as torch's L-BFGS asks for them."""
    optimizer.zero_grad()
    loss = mlce_loss(scores, targets)
    loss.backward()
    return loss


optimizer.step(closure)
found = scores.detach().numpy()
error = (targets - torch.sigmoid(2 * scores)).abs().max()
print(f"largest |target - sigmoid(2 score)|: {error:.1e}")

fig, ax = plt.subplots(figsize=(7, 4), layout="tight")
line = np.linspace(-3, 3, 200)
ax.plot(
    line,
    1 / (1 + np.exp(-2 * line)),
    color=BETWEEN,
    lw=2,
    label="sigmoid(2 score)",
)
ax.scatter(
    found,
    targets.numpy(),
    color=POSITIVE,
    s=28,
    zorder=3,
    label="minimum of the loss",
)
ax.axvline(0, color="black", lw=1.2)
ax.set_xlabel("score")
ax.set_ylabel("target")
ax.set_title("A soft target is read back with sigmoid(2 score)", loc="left")
ax.legend(frameon=False, loc="upper left")
plt.show()
