"""Device of a fit, resolved from the estimators' parameter."""

import torch


def resolve_device(device: str) -> torch.device:
    """Turn the estimators' ``device`` parameter into a :class:`torch.device`.

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}
        Where to compute. ``"auto"`` takes the GPU when torch can use one and the CPU otherwise;
        ``"cuda"`` insists on the GPU.

    Returns
    -------
    torch.device
        The device, one that torch can use now.

    Raises
    ------
    ValueError
        If ``device`` is another value, or is ``"cuda"`` where torch can use no GPU.

    Examples
    --------
    >>> from sklearn_mlce._utils.device import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device not in ("cpu", "cuda", "auto"):
        raise ValueError(
            f"device={device!r} is not a device known here; expected 'cpu', 'cuda' or 'auto'. "
            "Type device='auto' to use a GPU when there is one."
        )
    has_cuda = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ValueError(
            f"device='cuda' was asked for, but torch {torch.__version__} can use no CUDA GPU on "
            "this machine (torch.cuda.is_available() is False). Type device='auto' to fall back "
            "to the CPU, or device='cpu' to ask for it."
        )
    return torch.device("cuda" if has_cuda else "cpu")
