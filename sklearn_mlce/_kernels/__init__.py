"""Arithmetic on tensors: from scores and targets to losses and gradients. Knows torch, not y.

In-place rules of this room, which save a pass over the scores each time:

- A function whose name ends in an underscore overwrites its first argument and returns it, as in
  torch.
- An object that is made of exponents or of margins takes their memory over: the caller must not
  use the tensor again.
- ``release_gradient()`` hands that memory back, with the gradient written into it. The object is
  spent: under ``__debug__`` any later use fails with an AssertionError. ``gradient()`` copies, and
  leaves the object as it is.
- ``hessian_product_(direction)`` overwrites the direction and leaves the object as it is.
"""
