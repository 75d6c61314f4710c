"""What a forecast is made from: one named tuple, from the adapter to the explanation."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from .config import InformerConfig


class Inputs(NamedTuple):
    """Tensors of a batch of windows; what a configuration has none of is ``None``.

    ``target`` is ``(B, L, C)``, ``past`` covariates ``(B, L, X)``, ``future`` ones
    ``(B, L + H, F)``, and ``static`` ones ``(B, Z)`` or, of each component, ``(B, C, Z)``.
    """

    target: Tensor
    past: Tensor | None = None
    future: Tensor | None = None
    static: Tensor | None = None

    def check(self, config: InformerConfig) -> None:
        """Raise unless all shapes are those of ``config``."""
        given: object = self.target
        if not isinstance(given, Tensor) or given.dim() != 3:
            raise ValueError(
                "`past_target` must be a tensor (B, L, C), with a dimension for the batch; got "
                f"{_describe(given)}."
            )
        batch, steps = self.target.shape[0], config.input_chunk_length
        ahead = config.output_chunk_length
        future = (batch, steps + ahead, config.num_future_covariates)
        _check_shape("past_target", self.target, (batch, steps, config.num_targets))
        _check_shape("past_covariates", self.past, (batch, steps, config.num_past_covariates))
        _check_shape("future_covariates", self.future, future)
        static: tuple[int, ...] = (batch, config.num_static_covariates)
        if config.channel_independent and getattr(self.static, "ndim", 2) != 2:
            static = (batch, config.num_targets, config.num_static_covariates)
        _check_shape("static_covariates", self.static, static)

    def split_channels(self) -> Inputs:
        """Make every target component a sample of its own, ``(B*C, L, 1)``; covariates follow.

        All but the future ones: they are the same for all components, and stay ``(B, L + H, F)``.
        """
        # NOTE[DIFF] the paper mixes all components in the value embedding; the default does not.
        num_targets = self.target.shape[2]

        def repeat(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.repeat_interleave(num_targets, dim=0)

        split = self.target.transpose(1, 2).flatten(0, 1).unsqueeze(2)
        own = self.static is not None and self.static.dim() == 3
        static = (
            self.static.flatten(0, 1) if own and self.static is not None else repeat(self.static)
        )
        return Inputs(split, repeat(self.past), self.future, static)


def _check_shape(name: str, given: object, shape: tuple[int, ...]) -> None:
    """Raise unless ``given`` is a tensor of ``shape``, or is absent where the last size is 0."""
    wanted = shape if shape[-1] else None
    if wanted is None:
        fits = given is None
    else:
        fits = isinstance(given, Tensor) and tuple(given.shape) == wanted
    if fits:
        return
    raise ValueError(
        f"`{name}` must {f'have the shape {wanted}' if wanted else 'be left out'} by this "
        f"configuration; got {_describe(given)}."
    )


def _describe(given: object) -> str:
    if given is None:
        return "none"
    return f"the shape {tuple(given.shape)}" if isinstance(given, Tensor) else str(type(given))
