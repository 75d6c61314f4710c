"""Private: quantiles as far from the median as the windows that validate show."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from darts.utils.likelihood_models.torch import QuantileRegression
from torch import Tensor, nn

from informer_forecaster._training.intervals import best_factor


class CalibratedQuantiles(nn.Module):
    """What the Lightning module does once its best weights are in, if it forecasts quantiles."""

    likelihood: Any  # of the module that this is a part of, as all below
    trainer: Any
    network: Any

    def add_up(self, sums: Tensor) -> Tensor:
        """Add up what several processes saw."""
        added: Tensor = self.trainer.strategy.reduce(sums, reduce_op="sum")
        return added

    @torch.no_grad()
    def calibrate(self) -> None:
        """Scale all distances to the median by the factor that forecasts best.

        Last layer and linear map add up to the forecast, so the factor goes into their weights.
        """
        if not isinstance(self.likelihood, QuantileRegression):
            return
        quantiles, was_training = self.likelihood.quantiles, self.training
        self.eval()
        # Making an iterator of a loader draws a random number.
        with torch.random.fork_rng(devices=[]):
            factor = best_factor(quantiles, self._validated(), self.add_up)
        self.train(was_training)
        if hasattr(self.trainer.val_dataloaders.dataset, "whole"):
            # Windows that the start was fitted to show less error than new ones will.
            factor = max(1.0, factor)
        skip, middle = self.network.lookback_skip, len(quantiles) // 2
        last = [p.unflatten(0, (-1, len(quantiles))) for p in self.network.projection.parameters()]
        for parameter in [*last, *(() if skip is None else skip.parameters())]:
            median = parameter[:, middle : middle + 1].clone()
            parameter.copy_(median + factor * (parameter - median))

    def _validated(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Forecasts and values of the windows that validate."""
        this: Any = self
        (count,) = self.trainer.num_val_batches
        for batch in islice(self.trainer.val_dataloaders, int(count)):
            read = this._cast(self.trainer.strategy.batch_to_device(batch))
            yield this.forecast(this._inputs(read.to_module_input())), read.future_target
