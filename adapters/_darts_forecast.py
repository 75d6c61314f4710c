"""Private: a forecast by Darts' Lightning module, without its training. Tensors in and out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from darts.utils.data.torch_datasets.utils import ModuleStage, PLModuleInput, PLModuleOutput
from darts.utils.torch import MonteCarloDropout

from informer_forecaster._network import Informer, InformerConfig
from informer_forecaster._network.component_lags import ComponentLags, exist_as_in_file
from informer_forecaster._network.config import ARCHITECTURE, DATA_FIELDS, LENGTHS
from informer_forecaster._network.dropout import drop
from informer_forecaster._network.effects import CovariateEffects
from informer_forecaster._network.inputs import Inputs
from informer_forecaster._training.parameters import invert_softplus

from ._darts_likelihoods import keep_above_zero, moves_with_the_series, unit_scale
from ._darts_private import TellsLosses

NETWORK_FIELDS = ARCHITECTURE | DATA_FIELDS


class _Dropout(MonteCarloDropout):
    """Dropout that Darts can keep active at prediction."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Drop values in training and with `mc_dropout=True`."""
        return drop(input, self.p) if self.mc_dropout_enabled else input


class Forecasts(TellsLosses):
    """The network, its start, and the forecast of both.

    Parameters
    ----------
    **kwargs
        Fields of :class:`InformerConfig`, and parameters of Darts' module.
    """

    likelihood: Any  # Darts leaves these without a type
    rin: Any
    share: torch.Tensor | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{k: v for k, v in kwargs.items() if k not in NETWORK_FIELDS})
        config = {k: v for k, v in kwargs.items() if k in NETWORK_FIELDS | LENGTHS}
        self.network = Informer(InformerConfig(**config), dropout=_Dropout)
        skip = self.network.lookback_skip
        self.has_start = skip is not None and moves_with_the_series(self.likelihood)
        has_effects = self.has_start and self.network.config.has_effects
        self.effects = CovariateEffects(self.network.config) if has_effects else None
        reads_others = self.has_start and ComponentLags.suits(self.network.config)
        self.components = ComponentLags(self.network.config) if reads_others else None
        self.register_load_state_dict_pre_hook(exist_as_in_file)
        if skip is not None and self.has_start:
            # Least squares sets it, and the network learns without it.
            skip.requires_grad_(False)
        # Of the network in a forecast beside the start.
        self.register_buffer("share", torch.zeros(()) if self.has_start else None)
        self._norm_eps = 0.0 if self.rin is None else self.rin.eps

    # Not Darts' `io_processor`: it would add the window's mean to the raw deviation of a Gaussian.

    def forward(self, x_in: PLModuleInput) -> PLModuleOutput:
        """Forecast ``(B, H, C, P)`` from the tensors of a batch."""
        inputs = self._inputs(x_in)
        # The start has seen what trains: what it leaves of that is too little to learn from. An
        # epoch is judged by what the network has learnt, as its share is chosen after all of them.
        learns = self.share is not None and x_in.stage is not ModuleStage.PREDICT
        return PLModuleOutput(
            prediction=self.of_network(inputs) if learns else self.forecast(inputs)
        )

    def forecast(self, inputs: Inputs) -> torch.Tensor:
        """Forecast ``(B, H, C, P)`` in the units of the target."""
        if self.share is None:
            return self._forecast(inputs, self._run)
        # NOTE[DIFF] the paper has the network alone; this is a mean of it and a linear start.
        return torch.lerp(self.of_start(inputs), self.of_network(inputs), self.share)

    def of_start(self, inputs: Inputs) -> torch.Tensor:
        """Forecast by the linear map and the effects of covariates alone."""
        skip = self.network.lookback_skip
        assert skip is not None
        return self._forecast(inputs, lambda given: skip(given.target))

    def of_network(self, inputs: Inputs) -> torch.Tensor:
        """Forecast by the network alone."""
        return self._put_through(inputs, functools.partial(self._run, add_linear_map=False))

    def _run(self, inputs: Inputs, *, add_linear_map: bool = True) -> torch.Tensor:
        """Run the network on covariates of one size."""
        if self.effects is not None:
            inputs = self.effects.standardise(inputs)
        forecast: torch.Tensor = self.network(*inputs, add_linear_map=add_linear_map)
        return forecast

    def _forecast(self, inputs: Inputs, network: Callable[[Inputs], torch.Tensor]) -> torch.Tensor:
        """Take the effects of covariates off the series, and add them to the forecast."""
        ahead = by_others = None
        if self.effects is not None:
            before, ahead = self.effects(inputs)
            inputs = inputs._replace(target=inputs.target - before)
        if self.components is not None and self.components.is_set:
            by_others = self.components(inputs.target)
        forecast = self._put_through(inputs, network)
        for moved in (ahead, by_others):
            forecast = forecast if moved is None else self._move(forecast, moved.unsqueeze(3))
        return forecast

    def _put_through(
        self, inputs: Inputs, network: Callable[[Inputs], torch.Tensor]
    ) -> torch.Tensor:
        """Let a network forecast a series without its level and scale, and put these back."""
        # NOTE[DIFF] the paper scales whole series only; here each window loses level and deviation.
        inputs = inputs._replace(target=self._normalise(inputs.target))
        forecast = network(inputs)
        # Mixed precision ends here: losses and inverse transforms run in the model's own dtype.
        forecast = keep_above_zero(forecast.to(inputs.target.dtype), self.likelihood)
        return self._put_back_level_and_scale(forecast)

    @property
    def reads_covariates(self) -> bool:
        """Whether a covariate can change a forecast."""
        has_network = self.network.projection.weight if self.share is None else self.share
        if bool(has_network.any()):
            return True
        return self.effects is not None and self.effects.reads_covariates

    def _move(self, forecast: torch.Tensor, effects: torch.Tensor) -> torch.Tensor:
        """Move the parameters ``(B, H, C, P)`` by the effects ``(B, H, C, 1)``."""
        if unit_scale(self.likelihood) is None:
            return forecast + effects
        return torch.cat([forecast[..., :1] + effects, forecast[..., 1:]], dim=3)

    def _inputs(self, x_in: PLModuleInput) -> Inputs:
        """The network's inputs among those of Darts."""
        future = static = None
        if x_in.future_covariates is not None:
            future = x_in.concatenate_future_along_time()
        if x_in.static_covariates is not None:
            static = self._arrange_static(x_in.static_covariates, x_in.past_target.shape[2])
        return Inputs(x_in.past_target, x_in.past_covariates, future, static)

    def _normalise(self, past: torch.Tensor) -> torch.Tensor:
        """Take away level and deviation of each window ``(B, L, C)``, where that is wanted."""
        if self.rin is None:
            return past
        # In half precision 1e-12 is 0, and a constant window would be divided by it.
        self.rin.eps = max(self._norm_eps, torch.finfo(past.dtype).tiny)
        # Darts' own are constants to the gradient: what a step adds to a forecast would be wrong.
        self.rin.mean = past.mean(1, keepdim=True)
        # The exporter to ONNX leaves out a term of 1e-12, not a bound.
        variance = past.var(1, keepdim=True, unbiased=False)
        self.rin.stdev = variance.clamp(min=self.rin.eps).sqrt()
        normalised: torch.Tensor = self.rin.transform(past)
        return normalised

    def _arrange_static(self, static: torch.Tensor, num_targets: int) -> torch.Tensor:
        """Flatten ``(B, C or 1, S)``, or give each independent component its own row."""
        if self.network.config.channel_independent:
            return static.expand(-1, num_targets, -1)
        return static.flatten(1)

    def _put_back_level_and_scale(self, forecast: torch.Tensor) -> torch.Tensor:
        """Undo the instance norm in the parameters ``(B, H, C, P)`` of the likelihood."""
        if self.rin is None:
            return forecast
        if unit_scale(self.likelihood) is None:
            inverse: torch.Tensor = self.rin.inverse(forecast)
            return inverse
        location = self.rin.inverse(forecast[..., :1])
        # The second parameter passes through a softplus later; its deviation scales, nothing else.
        stretch = self.rin.stdev
        if self.rin.affine:
            stretch = stretch / (self.rin.affine_weight.abs() + self.rin.eps**2)
        scale = F.softplus(forecast[..., 1]) * stretch
        return torch.cat([location, invert_softplus(scale).unsqueeze(3)], dim=3)
