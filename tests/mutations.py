"""The known defects of other implementations, as replacements of functions of this package."""

from __future__ import annotations

import torch
from mutating import mutation, wrap
from pytest import MonkeyPatch  # noqa: PT013 - named in every annotation
from torch.optim.lr_scheduler import ExponentialLR

from informer_forecaster import InformerModel
from informer_forecaster._network import attention
from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.distilling import Distilling
from informer_forecaster.adapters._darts_module import _InformerModule
from informer_forecaster.adapters._sktime_frames import Instance

DEFECTS = "test_known_defects.py"


@mutation(1, "heads and time scrambled", f"{DEFECTS}::test_1_heads_and_time_are_not_scrambled")
def scramble_heads(patch: MonkeyPatch) -> None:
    def change(forward, self, q, k, v):
        output = forward(self, q, k, v)
        batch, heads, length, width = output.shape
        return output.reshape(batch, length, heads, width).transpose(1, 2)

    wrap(patch, ProbSparseAttention, "forward", change)


@mutation(
    2,
    "random key samples at prediction",
    f"{DEFECTS}::test_2_two_calls_are_equal_and_the_batch_does_not_matter",
)
def sample_at_prediction(patch: MonkeyPatch) -> None:
    def change(sample, *args, **kwargs):
        return sample(*args, **{**kwargs, "random": True})

    wrap(patch, attention, "sample_positions", change)


@mutation(
    3,
    "masked lazy rows get the sum of the values",
    f"{DEFECTS}::test_3_masked_lazy_rows_get_the_cumulative_mean",
)
def sum_lazy_rows(patch: MonkeyPatch) -> None:
    def change(forward, self, q, k, v):
        output = forward(self, q, k, v)
        if not self.causal:
            return output
        total = v.float().cumsum(2)
        counts = torch.arange(1, v.shape[2] + 1).unsqueeze(1)
        is_lazy = torch.isclose(output.float(), total / counts, rtol=1e-2).all(3, keepdim=True)
        return torch.where(is_lazy, total.to(output.dtype), output)

    wrap(patch, ProbSparseAttention, "forward", change)


@mutation(
    4,
    "mean over all keys of sampled scores",
    f"{DEFECTS}::test_4_the_mean_term_is_over_the_sampled_keys",
)
def divide_by_all_keys(patch: MonkeyPatch) -> None:
    def change(_, q, k, positions):
        scores = k[:, :, positions] * k.shape[3] ** -0.5 @ q.transpose(2, 3)
        return scores.amax(2) - scores.sum(2) / k.shape[2]

    wrap(patch, attention, "sampled_measurement", change)


@mutation(
    5, "one head leaks between samples", f"{DEFECTS}::test_5_one_head_does_not_leak_between_samples"
)
def squeeze_heads(patch: MonkeyPatch) -> None:
    def change(measure, self, q, k):
        measurement = measure(self, q, k)
        leak = measurement.sum(0, keepdim=True).expand_as(measurement)
        return leak if measurement.shape[1] == 1 else measurement

    wrap(patch, ProbSparseAttention, "sparsity_measurement", change)


@mutation(6, "attention dropout never applied", f"{DEFECTS}::test_6_attention_dropout_is_applied")
def forget_dropout(patch: MonkeyPatch) -> None:
    def change(forward, self, q, k, v):
        was = self.dropout.training
        try:
            self.dropout.eval()
            return forward(self, q, k, v)
        finally:
            self.dropout.train(was)

    for attention_class in (FullAttention, ProbSparseAttention):
        wrap(patch, attention_class, "forward", change)


@mutation(7, "distilling gives one token too many", f"{DEFECTS}::test_7_distilling_halves_exactly")
def pad_distilling(patch: MonkeyPatch) -> None:
    def change(forward, self, x):
        output = forward(self, x)
        return torch.cat([output, output[:, -1:]], dim=1)

    wrap(patch, Distilling, "forward", change)


@mutation(
    8, "start token not normalised", f"{DEFECTS}::test_8_the_instance_norm_covers_the_start_token"
)
def start_with_raw_values(patch: MonkeyPatch) -> None:
    def change(forward, self, x_in):
        def raw(_, inputs):
            tokens, *others = inputs
            start = self.network.num_start_tokens
            values = tokens[:, :start] * self.rin.stdev + self.rin.mean
            return torch.cat([values, tokens[:, start:]], dim=1), *others

        hook = self.network.decoder_embedding.register_forward_pre_hook(raw)
        try:
            return forward(self, x_in)
        finally:
            hook.remove()

    wrap(patch, _InformerModule, "forward", change)


@mutation(
    9,
    "scaler refitted for prediction",
    f"{DEFECTS}::test_9_new_rows_do_not_move_the_scale_of_the_training",
)
def refit_scaler(patch: MonkeyPatch) -> None:
    def change(extend, self, *args):
        longer = extend(self, *args)
        return longer.rescaled()

    wrap(patch, Instance, "extend", change)


@mutation(
    9, "last batch dropped", f"{DEFECTS}::test_9_every_window_is_scored_by_the_training_scaler"
)
def drop_last_batch(patch: MonkeyPatch) -> None:
    def change(backtest, self, series, **kwargs):
        forecasts = backtest(self, series, **kwargs)
        size = kwargs["predict_kwargs"]["batch_size"]
        return forecasts[: len(forecasts) // size * size]

    wrap(patch, InformerModel, "historical_forecasts", change)


@mutation(
    10,
    "masks of -inf turn to NaN in half precision",
    f"{DEFECTS}::test_10_half_precision_is_finite_at_720",
)
def multiply_masks(patch: MonkeyPatch) -> None:
    def change(forward, self, q, k, v):
        if not self.causal or q.dtype != torch.bfloat16:
            return forward(self, q, k, v)
        hidden = torch.ones(q.shape[2], k.shape[2], dtype=q.dtype).triu(1)
        scores = q @ k.transpose(2, 3) + hidden * float("-inf")
        return scores.softmax(3) @ v

    wrap(patch, ProbSparseAttention, "forward", change)


@mutation(
    11,
    "learning rate halved every epoch",
    f"{DEFECTS}::test_11_the_learning_rate_is_not_halved_every_epoch",
)
def halve_learning_rate(patch: MonkeyPatch) -> None:
    def change(configure, self):
        (optimizer,), _ = configure(self)
        return [optimizer], [ExponentialLR(optimizer, 0.5)]

    wrap(patch, _InformerModule, "configure_optimizers", change)


@mutation(
    12,
    "future leaks",
    "test_darts_backtesting.py::test_nothing_after_the_origin_reaches_a_forecast",
)
def read_ahead(patch: MonkeyPatch) -> None:
    def change(build, self, n, series, past_covariates, *args, **kwargs):
        if past_covariates is not None:
            past_covariates = [one.shift(-1) for one in past_covariates]
        return build(self, n, series, past_covariates, *args, **kwargs)

    wrap(patch, InformerModel, "_build_inference_dataset", change)
