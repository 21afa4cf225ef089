"""What an exported model returns of its scores."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

OUTPUTS = ("scores", "labels", "probabilities")


def check_output(output: str) -> None:
    """Raise ValueError unless an output is one that there is."""
    if output not in OUTPUTS:
        raise ValueError(
            f"output={output!r} is not known; expected 'scores', 'labels' or 'probabilities'. Type "
            "to_torch(output='labels') for what predict returns"
        )


class Outputs(nn.Module):
    """Scores, labels or probabilities of scores ``(n, n_outputs)``, in the shapes of an estimator.

    Parameters
    ----------
    kind : str
        Of the y of `fit`.
    sizes : tuple of int
        Numbers of classes of several outputs; else empty.
    output : {"scores", "labels", "probabilities"}
        What to return.
    probabilities : callable, default=None
        Of scores, where these are to be returned and `kind` is not "multioutput".
    """

    def __init__(
        self,
        kind: str,
        sizes: tuple[int, ...],
        output: str,
        probabilities: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.kind, self.sizes, self.output = kind, sizes, output
        self.probabilities = probabilities

    def forward(self, scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Outputs of scores ``(n, n_outputs)``, above zero where a label is predicted."""
        if self.output == "scores":
            return self._scores(scores)
        return self._labels(scores) if self.output == "labels" else self._probabilities(scores)

    def extra_repr(self) -> str:
        """Describe it in torch's way."""
        return f"{self.output} of {self.kind} y"

    def _scores(self, scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.kind == "multioutput":
            return scores.split(list(self.sizes), dim=1)
        return scores[:, 0] if self.kind == "binary" else scores

    def _labels(self, scores: Tensor) -> Tensor:
        if self.kind == "multioutput":
            parts = scores.split(list(self.sizes), dim=1)
            return torch.stack([part.argmax(dim=1) for part in parts], dim=1)
        if self.kind == "multiclass":
            return scores.argmax(dim=1)
        labels = (scores > 0).long()
        return labels[:, 0] if self.kind == "binary" else labels

    def _probabilities(self, scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.kind == "multioutput":
            parts = scores.split(list(self.sizes), dim=1)
            return tuple(clipped(part.softmax(dim=1)) for part in parts)
        assert self.probabilities is not None
        return clipped(self.probabilities(scores))


def clipped(probabilities: Tensor) -> Tensor:
    """Probabilities that are never exactly 0 or 1."""
    info = torch.finfo(probabilities.dtype)
    return probabilities.clamp(info.tiny, 1 - info.eps / 2)


def computing_dtype(tensor: Tensor) -> torch.dtype:
    """At least float32: scores of constant labels, and squares, are out of the range of float16."""
    return torch.promote_types(tensor.dtype, torch.float32)
