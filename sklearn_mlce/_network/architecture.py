"""Shapes of a network."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Architecture:
    """Shapes of the weights, and the functions between them."""

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str
    input_scaling: str | None = None  # as scaling_of gives it
    learned_threshold: bool = False  # one more unit, the last, to subtract from the others
    # Of a user's module, as structure_of gives it, in place of hidden layers and their activation.
    structure: tuple[str, ...] | None = None
    largest_size: int | None = None  # of its parameters
    n_members: int = 1  # networks that divide the hidden units between them

    @property
    def member(self) -> Architecture:
        """Shapes of one of the members."""
        widths = tuple(width // self.n_members for width in self.hidden_layer_sizes)
        return replace(self, hidden_layer_sizes=widths, n_members=1)

    @property
    def combined(self) -> Architecture:
        """Shapes of the one network that the members make together."""
        return replace(self, n_members=1)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer, the input's first and the output's last."""
        n_last = self.n_outputs + self.learned_threshold
        return (self.n_features, *self.hidden_layer_sizes, n_last)

    @property
    def described(self) -> str:
        """The shapes as messages name them."""
        scaling = f"input scaling {self.input_scaling!r}"
        if self.structure is None:
            return f"layers {self.sizes}, activation {self.activation!r}, {scaling}"
        return f"the module [{'; '.join(self.structure)}], {scaling}"
