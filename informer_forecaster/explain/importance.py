"""Private: what each input adds to a forecast, by integrated gradients over the Darts module."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.inputs import Inputs

from .attention import Sight, sites
from .attention_map import AttentionMap

# Numbers of the model's width that a batch of points on the path may hold in one layer.
_NUMBERS_AT_ONCE = 2**20


class Attribution(NamedTuple):
    """Forecasts ``(h, O)`` of the window and of the baseline, and what each input adds.

    ``added`` holds an array ``(h, O, ...)`` for each input, ``...`` being its own shape.
    """

    forecast: Tensor
    baseline: Tensor
    added: Inputs


class Tracer:
    """A copy of a trained module in which one window is looked into; the module is left alone.

    Parameters
    ----------
    module : object
        The Lightning module of an :class:`InformerModel`.
    inputs : Inputs
        One window, in double precision.
    sort_quantiles : bool
        Whether the quantiles of a forecast are put in order.
    """

    def __init__(self, module: Any, inputs: Inputs, *, sort_quantiles: bool) -> None:
        self._sort = sort_quantiles
        # A copy: hooks would not run in a compiled network, and would stay behind after an error.
        self._module = copy.deepcopy(module).cpu().eval().requires_grad_(False)
        self._module.set_mc_dropout(False)
        if self._module.dtype.itemsize < torch.float32.itemsize:
            self._module.float()
        self._config = self._module.network.config
        self._inputs = inputs
        with torch.no_grad():
            self._sights = self._look(_map(lambda x: x.to(self._module.dtype), inputs))
        for sight in self._sights:
            if isinstance(sight.attention, ProbSparseAttention):
                sight.attention.held = sight.active

    def _look(self, inputs: Inputs) -> list[Sight]:
        """Run the window once, and see what each attention is given."""
        seen: dict[Any, tuple[Tensor, Tensor]] = {}

        def see(attention: Any, heads: tuple[Tensor, ...]) -> None:
            seen[attention] = heads[0], heads[1]

        found = list(sites(self._module.network))
        hooks = [site.heads.attention.register_forward_pre_hook(see) for site in found]
        self._module.forecast(inputs)
        for hook in hooks:
            hook.remove()
        sights = []
        for site in found:
            attention = site.heads.attention
            # What a registered attention looks at, only its author knows; also of a subclass.
            if isinstance(attention, FullAttention) and "weights" in vars(type(attention)):
                q, k = seen[attention]
                sights.append(Sight(site, attention, q, k, attention.active(q, k)))
        return sights

    def attention(
        self, times: pd.Index[Any], components: list[str], *, all_rows: bool
    ) -> list[AttentionMap]:
        """The attentions of the window, in the order in which they run."""
        channels = tuple(components) if self._config.channel_independent else ("all",)
        factor = self._config.sampling_factor
        return [one.describe(times, channels, factor, all_rows=all_rows) for one in self._sights]

    @torch.enable_grad()
    def attribute(
        self, baseline: Inputs, horizons: list[int], outputs: list[int], num_points: int
    ) -> Attribution:
        """Share the difference to the forecast of ``baseline`` out among the inputs.

        The path from the baseline to the window is straight, and its integral a Gauss-Legendre sum;
        all in double precision, as a window close to its baseline hardly differs from it.

        Parameters
        ----------
        baseline : Inputs
            As the inputs of the window.
        horizons : list of int
            Steps ahead, from 1.
        outputs : list of int
            Components of the forecast.
        num_points : int
            Points on the path.

        References
        ----------
        M. Sundararajan, A. Taly, Q. Yan, "Axiomatic Attribution for Deep Networks", ICML 2017.
        """
        self._module.double()
        chosen = (torch.tensor(horizons) - 1).unsqueeze(1), torch.tensor(outputs)

        def forecast(inputs: Inputs) -> Tensor:
            return self._outputs(inputs)[:, chosen[0], chosen[1]]  # (K, h, O)

        with torch.no_grad():
            of_window, of_baseline = (forecast(inputs)[0] for inputs in (self._inputs, baseline))
        change = _map(lambda x, start: x - start, self._inputs, baseline)
        size = len(horizons), len(outputs)
        gradients = _map(lambda x: x.new_zeros(*size, *x.shape[1:]), change)
        nodes, weights = (
            torch.from_numpy(x) / 2 for x in np.polynomial.legendre.leggauss(num_points)
        )
        at_once = self._points_at_once()
        for part, shares in zip((nodes + 0.5).split(at_once), weights.split(at_once), strict=True):
            points = _map(
                lambda start, x, part=part: (
                    start + part.view(-1, *[1] * (x.dim() - 1)) * x
                ).requires_grad_(),
                baseline,
                change,
            )
            integrand = torch.einsum("k,kho->ho", shares, forecast(points))
            given = [x for x in points if x is not None]
            totals = [x for x in gradients if x is not None]
            for place in np.ndindex(size):
                found = torch.autograd.grad(
                    integrand[place],
                    given,
                    retain_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
                for total, gradient in zip(totals, found, strict=True):
                    total[place] += gradient.sum(0)
        return Attribution(of_window, of_baseline, _map(torch.mul, gradients, change))

    def _outputs(self, inputs: Inputs) -> Tensor:
        """Forecast, or the parameters of the likelihood: ``(B, H, O)``."""
        prediction: Tensor = self._module.forecast(inputs)
        if self._sort:
            prediction = prediction.sort(3).values
        likelihood = self._module.likelihood
        if likelihood is None:
            return prediction.squeeze(3)
        parameters: Tensor = likelihood.predict_likelihood_parameters(prediction)
        return parameters

    def _points_at_once(self) -> int:
        """Points on the path that run as one batch."""
        config = self._config
        tokens = config.num_tokens(config.input_chunk_length + config.output_chunk_length)
        channels = config.num_targets if config.channel_independent else 1
        numbers: int = tokens * channels * config.d_model
        return max(1, _NUMBERS_AT_ONCE // numbers)


def _map(change: Callable[..., Tensor], first: Inputs, *others: Inputs) -> Inputs:
    """Call ``change`` with each input that there is, and its like of the others."""
    tensors: list[Any] = [
        x if x is None else change(x, *y) for x, *y in zip(first, *others, strict=True)
    ]
    return Inputs(*tensors)
