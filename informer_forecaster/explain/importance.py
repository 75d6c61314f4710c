"""Private: what each input adds to a forecast, by integrated gradients over the Darts module."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from darts.utils.data.torch_datasets.utils import PLModuleInput
from darts.utils.likelihood_models.torch import QuantileRegression
from torch import Tensor, nn

from informer_forecaster._network.attention import FullAttention, ProbSparseAttention

from .attention import Recorder, Selection, Site, attend, make_map, sites
from .attention_map import AttentionMap

Inputs = dict[str, Tensor]

# Numbers of the model's width that a batch of points on the path may hold in one layer.
_NUMBERS_AT_ONCE = 2**20


class Attribution(NamedTuple):
    """Forecasts ``(h, O)`` of the window and of the baseline, and what each input adds.

    ``added`` holds an array ``(h, O, ...)`` for each input, ``...`` being its own shape.
    """

    forecast: Tensor
    baseline: Tensor
    added: Inputs


class _FixedSelection(nn.Module):
    """ProbSparse attention whose active queries are given, ``(E, H, A)``.

    Which queries are active jumps along a path, and a jump has no gradient.
    """

    def __init__(self, rows: Tensor, causal: bool) -> None:
        super().__init__()
        self.rows = rows
        self.causal = causal

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Map q ``(B, H, L, D)``, k and v ``(B, H, S, D)`` to ``(B, H, L, D)``."""
        rows = self.rows.repeat(q.shape[0] // self.rows.shape[0], 1, 1)
        attended = attend(q, k, rows, self.causal) @ v
        lazy = v.mean(2, keepdim=True).expand_as(q)
        if self.causal:
            seen = torch.arange(1, v.shape[2] + 1, dtype=v.dtype, device=v.device)
            lazy = v.cumsum(2) / seen.unsqueeze(1)
        return lazy.scatter(2, rows.unsqueeze(3).expand_as(attended), attended)


class Tracer:
    """A copy of a trained module in which one window is looked into; the module is left alone.

    Parameters
    ----------
    module : object
        The Lightning module of an :class:`InformerModel`.
    inputs : dict of torch.Tensor
        Tensors of one window by their names in Darts' ``PLModuleInput``, a batch of one.
    sort_quantiles : bool
        Whether the quantiles of a forecast are put in order.
    """

    def __init__(self, module: Any, inputs: Inputs, *, sort_quantiles: bool) -> None:
        quantiles = isinstance(module.likelihood, QuantileRegression)
        self._sort = sort_quantiles and quantiles
        # A copy: hooks would not run in a compiled network, and would stay behind after an error.
        self._module = copy.deepcopy(module).cpu().eval().requires_grad_(False)
        self._module.set_mc_dropout(False)
        if self._module.dtype.itemsize < torch.float32.itemsize:
            self._module.float()
        self._config = self._module.network.config
        self._record({name: x.to(self._module.dtype) for name, x in inputs.items()})
        self._inputs = {name: x.double() for name, x in inputs.items()}

    def _record(self, inputs: Inputs) -> None:
        """Run the window once, and fix the queries that are active in it."""
        self._recorded: list[tuple[Site, Recorder, Selection]] = []
        network = self._module.network
        recorders = []
        for site in sites(network):
            attention = site.heads.attention
            # What a registered attention looks at, only its author knows; also of a subclass.
            own = type(attention) in (FullAttention, ProbSparseAttention)
            if not isinstance(attention, FullAttention) or not own:
                continue
            recorder = Recorder(attention)
            site.heads.add_module("attention", recorder)
            recorders.append((site, recorder))
        with torch.no_grad():
            self._module(PLModuleInput(**inputs))
        for site, recorder in recorders:
            assert recorder.seen is not None
            attention, factor = recorder.attention, self._config.sampling_factor
            selection = Selection.of(attention, *recorder.seen, factor)
            self._recorded.append((site, recorder, selection))
            sparse = isinstance(attention, ProbSparseAttention)
            fixed = _FixedSelection(selection.rows, attention.causal) if sparse else attention
            site.heads.add_module("attention", fixed)

    def attention(
        self, times: pd.Index[Any], components: list[str], *, all_rows: bool
    ) -> list[AttentionMap]:
        """The attentions of the window, in the order in which they run."""
        channels = tuple(components) if self._config.channel_independent else ("all",)
        return [
            make_map(*recorded, times, channels, all_rows=all_rows) for recorded in self._recorded
        ]

    @torch.enable_grad()
    def attribute(
        self, baseline: Inputs, horizons: list[int], outputs: list[int], num_points: int
    ) -> Attribution:
        """Share the difference to the forecast of ``baseline`` out among the inputs.

        The path from the baseline to the window is straight, and its integral a Gauss-Legendre sum;
        all in double precision, as a window close to its baseline hardly differs from it.

        Parameters
        ----------
        baseline : dict of torch.Tensor
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
        baseline = {name: x.double() for name, x in baseline.items()}
        chosen = (torch.tensor(horizons) - 1).unsqueeze(1), torch.tensor(outputs)

        def forecast(inputs: Inputs) -> Tensor:
            return self._outputs(inputs)[:, chosen[0], chosen[1]]  # (K, h, O)

        with torch.no_grad():
            ends = [forecast(inputs)[0] for inputs in (self._inputs, baseline)]
        change = {name: x - baseline[name] for name, x in self._inputs.items()}
        gradients = {
            name: x.new_zeros(len(horizons), len(outputs), *x.shape[1:])
            for name, x in change.items()
        }
        nodes, weights = (
            torch.from_numpy(x) / 2 for x in np.polynomial.legendre.leggauss(num_points)
        )
        size = self._points_at_once()
        for fractions, shares in zip((nodes + 0.5).split(size), weights.split(size), strict=True):
            points = {
                name: (
                    baseline[name] + fractions.view(-1, *[1] * (x.dim() - 1)) * x
                ).requires_grad_()
                for name, x in change.items()
            }
            integrand = torch.einsum("k,kho->ho", shares, forecast(points))
            for place in np.ndindex(*integrand.shape):
                found = torch.autograd.grad(
                    integrand[place],
                    list(points.values()),
                    retain_graph=True,
                    allow_unused=True,
                    materialize_grads=True,
                )
                for name, gradient in zip(points, found, strict=True):
                    gradients[name][place] += gradient.sum(0)
        added = {name: gradients[name] * x for name, x in change.items()}
        return Attribution(ends[0], ends[1], added)

    def _outputs(self, inputs: Inputs) -> Tensor:
        """Forecast, or the parameters of the likelihood: ``(B, H, O)``."""
        prediction = self._module(PLModuleInput(**inputs)).prediction
        if self._sort:
            prediction = prediction.sort(3).values
        likelihood = self._module.likelihood
        if likelihood is None:
            squeezed: Tensor = prediction.squeeze(3)
            return squeezed
        parameters: Tensor = likelihood.predict_likelihood_parameters(prediction)
        return parameters

    def _points_at_once(self) -> int:
        """Points on the path that run as one batch."""
        config = self._config
        tokens = config.num_tokens(config.input_chunk_length + config.output_chunk_length)
        channels = config.num_targets if config.channel_independent else 1
        numbers: int = tokens * channels * config.d_model
        return max(1, _NUMBERS_AT_ONCE // numbers)
