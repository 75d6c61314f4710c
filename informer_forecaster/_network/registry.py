"""Self-attentions by their names: the two of the paper, and those that users register."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor, nn

from .attention import FullAttention, ProbSparseAttention

if TYPE_CHECKING:
    from .config import InformerConfig

AttentionFactory = Callable[["InformerConfig", bool, nn.Module], nn.Module]


def _make_prob(config: InformerConfig, causal: bool, dropout: nn.Module) -> nn.Module:
    return ProbSparseAttention(config.sampling_factor, causal, dropout, config.sparsity)


def _make_full(config: InformerConfig, causal: bool, dropout: nn.Module) -> nn.Module:  # noqa: ARG001
    return FullAttention(causal, dropout)


_FACTORIES: dict[str, AttentionFactory] = {"prob": _make_prob, "full": _make_full}


def register_attention(name: str, factory: AttentionFactory) -> None:
    """Let ``attention=name`` choose a self-attention of your own, in encoder and decoder.

    Parameters
    ----------
    name : str
        What ``attention`` calls it.
    factory : callable
        ``factory(config, causal, dropout)`` makes the module of one layer, from the
        :class:`~informer_forecaster.InformerConfig`, whether query ``i`` may see keys ``0..i``
        only, and the module to drop attention weights with, as `token_dropout` says. The layer's
        module maps queries, keys and values, each ``(B, H, L, D)``, to ``(B, H, L, D)``, for any
        length: distilling halves the sequence from layer to layer, and the decoder has another
        one. It may have weights.

    Raises
    ------
    ValueError
        If the name is taken or no word, or the factory cannot be called.

    Notes
    -----
    A saved model holds the name only: register the attention before loading it. Attention from the
    decoder to the encoder is what `cross_attention` says.

    Examples
    --------
    >>> import torch
    >>> from informer_forecaster import Informer, InformerConfig, register_attention
    >>> class Mean(torch.nn.Module):
    ...     def __init__(self, causal):
    ...         super().__init__()
    ...         self.causal = causal
    ...
    ...     def forward(self, q, k, v):
    ...         if not self.causal:
    ...             return v.mean(dim=2, keepdim=True).expand_as(q)
    ...         return v.cumsum(dim=2) / torch.arange(1, v.shape[2] + 1)[:, None]
    >>> register_attention("mean", lambda config, causal, dropout: Mean(causal))
    >>> config = InformerConfig(96, 24, num_targets=7, attention="mean")
    >>> Informer(config)(torch.randn(32, 96, 7)).shape
    torch.Size([32, 24, 7, 1])
    """
    given: object = name
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"`name` must be a string that is not empty; got {name!r}.")
    if name in _FACTORIES:
        raise ValueError(
            f"`name` must be none of {_list_names()}, which are taken; got {name!r}. "
            "Choose another."
        )
    if not callable(factory):
        raise ValueError(
            "`factory` must be callable with config, causal and dropout, and make a torch module; "
            f"got {factory!r}."
        )
    _FACTORIES[name] = partial(_make_registered, name, factory)


def check_attention(name: object) -> None:
    """Raise unless ``name`` is a self-attention of the paper or a registered one."""
    if not isinstance(name, str) or name not in _FACTORIES:
        raise ValueError(
            f"`attention` must be one of {_list_names()}; got {name!r}. One of your own is "
            "registered before it is named or loaded: "
            "informer_forecaster.register_attention(name, factory)."
        )


def make_attention(config: InformerConfig, causal: bool, dropout: nn.Module) -> nn.Module:
    """Make the self-attention that ``config.attention`` names, of one layer."""
    return _FACTORIES[config.attention](config, causal, dropout)


def make_cross_attention(config: InformerConfig, dropout: nn.Module) -> nn.Module:
    """Make the attention of the decoder to the encoder, of one layer."""
    if config.cross_attention == "full":
        return FullAttention(dropout=dropout)
    # NOTE[DIFF] full in the paper, whose cost is the product of both lengths.
    return ProbSparseAttention(config.sampling_factor, dropout=dropout, sparsity="moment")


def _make_registered(
    name: str, factory: AttentionFactory, config: InformerConfig, causal: bool, dropout: nn.Module
) -> nn.Module:
    """Make a user's attention, and check what it is and what it gives."""
    attention: object = factory(config, causal, dropout)
    if not isinstance(attention, nn.Module):
        raise ValueError(
            f"the factory of `attention` {name!r} must make a torch.nn.Module; got {attention!r}."
        )
    attention.register_forward_hook(_check_output)
    return attention


def _check_output(attention: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
    """Raise unless there is a row for each query: a smaller output would be repeated silently."""
    wanted = tuple(inputs[0].shape)
    got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if got != wanted:
        raise ValueError(
            f"the attention {type(attention).__name__} must return a tensor of the shape of its "
            f"queries, (B, H, L, D), {wanted}; got {got}."
        )


def _list_names() -> str:
    return ", ".join(map(repr, _FACTORIES))
