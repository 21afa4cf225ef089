"""Parts of networks that are trained with the losses, for torch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["PairScore"]


class PairScore(nn.Module):
    r"""Scores of all pairs of positions of a sequence, one for each label.

    With the vectors :math:`h_1, \ldots, h_T` of a sequence, the score of label :math:`a` for the
    pair of the positions :math:`i` and :math:`j` is

    .. math::

        s_a(i, j) = (W_q h_i)^\top (W_k h_j) + w_a^\top [h_i; h_j].

    The product says whether the two belong together, for all labels alike. The second term says
    which label a pair has, with :math:`2d` parameters per label. Train it with
    :func:`~sklearn_mlce.losses.mlce_loss` over all pairs, of which very few are positive. A label
    then holds for the pairs whose score is above 0. Use it to find typed spans (from position
    :math:`i` to :math:`j`) or relations between words.

    Parameters
    ----------
    in_features : int
        Size :math:`d` of a position's vector.
    n_labels : int
        Number of labels.
    pair_features : int, default=64
        Rows of :math:`W_q` and :math:`W_k`.
    device : torch device or str, default=None
        Device of the parameters, as in torch's modules.
    dtype : torch dtype, default=None
        Type of the parameters, as in torch's modules.

    Attributes
    ----------
    query : torch.nn.Linear
        :math:`W_q`, without a bias.
    key : torch.nn.Linear
        :math:`W_k`, without a bias.
    first, second : torch.nn.Linear
        The halves of all :math:`w_a` that meet :math:`h_i` and :math:`h_j`, without a bias.

    See Also
    --------
    sklearn_mlce.losses.mlce_loss : The loss to train it with.

    Notes
    -----
    Beside the scores, memory holds one matrix of products for all labels, and a number per label
    and position. The formula does not know the distance of the positions. Where order matters, use
    vectors that know it, such as those of a recurrent network or of position encodings.

    References
    ----------
    .. [1] Su et al., "Global Pointer: Novel Efficient Span-based Approach for Named Entity
       Recognition", https://arxiv.org/abs/2208.03054, 2022.

    Examples
    --------
    A span is a pair whose second position is not before the first; the other half of the square
    is left out of the loss as unknown. Each label of each sequence is a row of the loss.

    >>> import torch
    >>> from sklearn_mlce.losses import mlce_loss
    >>> from sklearn_mlce.nn import PairScore
    >>> score = PairScore(in_features=16, n_labels=3)
    >>> scores = score(torch.randn(8, 20, 16))
    >>> scores.shape
    torch.Size([8, 3, 20, 20])
    >>> targets = torch.zeros_like(scores).masked_fill(
    ...     torch.ones(20, 20).tril(-1).bool(), torch.nan
    ... )
    >>> targets[0, 1, 4, 6] = 1
    >>> mlce_loss(scores.flatten(-2), targets.flatten(-2)).backward()
    """

    def __init__(
        self,
        in_features: int,
        n_labels: int,
        pair_features: int = 64,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        options = {"bias": False, "device": device, "dtype": dtype}
        self.query = nn.Linear(in_features, pair_features, **options)
        self.key = nn.Linear(in_features, pair_features, **options)
        self.first = nn.Linear(in_features, n_labels, **options)
        self.second = nn.Linear(in_features, n_labels, **options)

    def forward(self, vectors: Tensor) -> Tensor:
        """Scores of all pairs.

        Parameters
        ----------
        vectors : Tensor of shape (..., n_positions, in_features)
            A vector for each position of each sequence.

        Returns
        -------
        Tensor of shape (..., n_labels, n_positions, n_positions)
            Score of each label for the pair of each row's and each column's position.
        """
        products = torch.matmul(self.query(vectors), self.key(vectors).transpose(-1, -2))
        first = self.first(vectors).transpose(-1, -2)  # (..., n_labels, n_positions)
        second = self.second(vectors).transpose(-1, -2)
        scores = products.unsqueeze(-3) + first.unsqueeze(-1)
        # In place: a sum of another term would hold the scores twice.
        return scores.add_(second.unsqueeze(-2))
