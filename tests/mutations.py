"""Defects, as replacements of functions or of lines of this package.

A defect of a line is ``replace(number, name, test, old, new)``. The line is found by its text,
wherever its file has gone; a text that is there twice, or no longer, is an error of the check.
"""

from __future__ import annotations

import functools
import gc
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import torch
from pytest import MonkeyPatch  # noqa: PT013 - named in every annotation
from torch.optim.lr_scheduler import ExponentialLR

import informer_forecaster
from informer_forecaster import InformerModel
from informer_forecaster._network import attention
from informer_forecaster._network.attention import FullAttention, ProbSparseAttention
from informer_forecaster._network.distilling import Distilling
from informer_forecaster.adapters._darts_module import _InformerModule
from informer_forecaster.adapters._sktime_frames import Instance

DEFECTS = "test_known_defects.py"


class Mutation(NamedTuple):
    """A defect: its number, what it is, its tests, and how to make it.

    Numbers up to 12 are those of the known defects of other implementations.
    """

    number: int
    name: str
    tests: str
    put_in: Callable[[MonkeyPatch], None]
    text: str | None = None


MUTATIONS: list[Mutation] = []


def mutation(number: int, name: str, tests: str) -> Callable[[Any], Any]:
    """Register the function that puts a defect in."""

    def register(put_in: Callable[[MonkeyPatch], None]) -> Callable[[MonkeyPatch], None]:
        MUTATIONS.append(Mutation(number, name, tests, put_in))
        return put_in

    return register


def wrap(patch: MonkeyPatch, owner: Any, name: str, change: Callable[..., Any]) -> None:
    """Replace ``owner.name`` by a function that is given the original as its first argument."""
    original = getattr(owner, name)
    patch.setattr(owner, name, lambda *args, **kwargs: change(original, *args, **kwargs))


@functools.cache
def modules() -> tuple[ModuleType, ...]:
    """Import every module of the package."""
    root = informer_forecaster
    names = [one.name for one in pkgutil.walk_packages(root.__path__, f"{root.__name__}.")]
    return root, *map(importlib.import_module, names)


@functools.cache
def sources() -> dict[Path, tuple[str, str]]:
    """Read the file of every module; the link to the adapters gives no file a second name."""
    files = {Path(module.__file__).resolve(): module.__file__ for module in modules()}
    return {path: (file, path.read_text(encoding="utf-8")) for path, file in files.items()}


def find(text: str) -> tuple[str, str]:
    """Give the file that holds a text, and all that stands in it."""
    places = [place for place in sources().values() if text in place[1]]
    count = sum(source.count(text) for _, source in places)
    if count != 1:
        raise AttributeError(f"the text is in the sources {count} times, not once: {text!r}")
    return places[0]


def functions_of(code: CodeType) -> Iterator[CodeType]:
    """Give a code object, and those of the functions and classes in it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from functions_of(one)


def replace_text(old: str, new: str) -> None:
    """Change a text of the sources in the running process, in whichever file it is.

    The functions around it get the code that the changed file would give them, so that it does not
    matter who has imported or wrapped them. It cannot be taken back: the process has to be a fork.
    """
    file, source = find(old)
    changed = source.replace(old, new)
    if changed.count("\n") != source.count("\n"):
        raise AttributeError(f"the replacement has another number of lines: {new!r}")
    before, after = (
        functions_of(compile(text, file, "exec", dont_inherit=True)) for text in (source, changed)
    )
    codes = {one: other for one, other in zip(before, after, strict=True) if one != other}
    # Equal code objects need not be identical: the running ones were compiled at the import.
    running = [
        one for one in gc.get_objects() if isinstance(one, FunctionType) and one.__code__ in codes
    ]
    if not running:
        raise AttributeError(f"no function holds the text: {old!r}")
    for function in running:
        function.__code__ = codes[function.__code__]


def replace(number: int, name: str, tests: str, old: str, new: str) -> None:
    """Register a defect of a line or of a few."""
    MUTATIONS.append(Mutation(number, name, tests, lambda _: replace_text(old, new), old))


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
        return longer.scaled_by(len(longer.y))

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


# The network

replace(
    13,
    "replica stacks of an odd number of tokens cut by floor",
    "test_encoder.py::test_replica_stacks_see_the_end_of_the_input",
    "-(-num_tokens // 2**n)",
    "num_tokens // 2**n",
)
replace(
    14,
    "batch norm of another momentum",
    "test_encoder.py::test_distilling_remembers_a_tenth_of_each_batch",
    "nn.BatchNorm1d(d_model)",
    "nn.BatchNorm1d(d_model, momentum=0.2)",
)
replace(
    15,
    "one key mask for the whole batch",
    "test_dropout.py::test_every_sample_and_head_draws_its_own_mask",
    "v.new_ones(*v.shape[:2], 1, v.shape[2])",
    "v.new_ones(1, v.shape[1], 1, v.shape[2])",
)
replace(
    16,
    "the sampling factor does not reach the attention",
    "test_network.py::test_every_option_reaches_the_forecast",
    "ProbSparseAttention(config.sampling_factor, causal, dropout, config.sparsity)",
    "ProbSparseAttention(5, causal, dropout, config.sparsity)",
)
replace(
    17,
    "the decoder's mask does not reach ProbSparse attention",
    "test_network.py::test_every_option_reaches_the_forecast",
    "ProbSparseAttention(config.sampling_factor, causal, dropout, config.sparsity)",
    "ProbSparseAttention(config.sampling_factor, False, dropout, config.sparsity)",
)
replace(
    18,
    "lazy rows without the bound of the first-order term",
    "test_second_order.py::test_no_row_leaves_the_values_far_behind",
    "return (farthest / variance.clamp(min=farthest)).sqrt_().unsqueeze(3)",
    "return torch.ones_like(variance).unsqueeze(3)",
)
replace(
    19,
    "tokens of any length in attention",
    "test_large_values.py::test_inputs_of_any_size_leave_gradients_finite",
    "self.dropout(shorten(x))",
    "self.dropout(x)",
)
replace(
    20,
    "an epsilon that the exporter to ONNX leaves out",
    "test_darts_onnx.py::test_an_export_forecasts_the_same[moment, none]",
    "variance.clamp(min=self.rin.eps).sqrt()",
    "(variance + self.rin.eps).sqrt()",
)


# The tables of sktime

WINDOWS, LABELS = "test_sktime_windows.py", "test_sktime_labels.py"

replace(
    40,
    "quantiles left unsorted",
    f"{WINDOWS}::test_quantiles_that_the_network_crosses_are_put_in_order",
    "[np.sort(array, axis=2) for array in arrays]",
    "[array for array in arrays]",
)
replace(
    41,
    "time zones read as UTC",
    f"{LABELS}::test_the_calendar_is_that_of_the_time_zone",
    "if isinstance(index, pd.PeriodIndex) else index\n    assert",
    "if isinstance(index, pd.PeriodIndex) else in_zone(index, 'UTC')\n    assert",
)
replace(
    42,
    "the last exogenous row stands for the missing ones",
    f"{WINDOWS}::test_no_row_stands_for_one_that_is_missing",
    "known.difference(rows.index[rows.notna().all(axis=1)])",
    "known[:0]",
)
replace(
    43,
    "short series begin with zeros",
    f"{WINDOWS}::test_a_short_series_stands_for_one_that_begins_with_its_first_row",
    'np.pad(one, padding, mode="edge")',
    "np.pad(one, padding)",
)
replace(
    44,
    "revised exogenous rows do not replace the old ones",
    f"{WINDOWS}::test_revised_exogenous_rows_replace_those_of_before",
    "rows.combine_first(self.X)[self.X.columns]",
    "self.X.combine_first(rows)[self.X.columns]",
)
replace(
    45,
    "rows without the label of their series dropped",
    f"{LABELS}::test_a_series_without_a_label_is_refused",
    "if unlabelled.any():",
    "if unlabelled.all():",
)
replace(
    46,
    "one column's scale for all",
    f"{WINDOWS}::test_each_column_has_its_own_scale",
    "values * self.scale[:, None]",
    "values * self.scale[0]",
)
replace(
    47,
    "an update trains for the epochs of a fit",
    "test_sktime_training.py::test_an_update_trains_for_its_own_epochs",
    "instances.values(), self.update_epochs)",
    "instances.values(), self.n_epochs)",
)
replace(
    48,
    "validation that misses its first windows",
    "test_sktime_training.py::test_each_row_that_is_held_back_is_forecast_from_the_rows_before_it",
    "every[key].between(kept - lengths[0])",
    "every[key].between(kept)",
)
replace(
    49,
    "a parameter of the training that does not reach it",
    "test_sktime_training.py::test_every_parameter_of_the_training_reaches_it",
    'batch_size=parameters["batch_size"],',
    "batch_size=32,",
)
replace(
    39,
    "the lowest quantile fed back in a roll-out",
    "test_sktime_steps.py::test_a_roll_out_goes_on_where_the_chunk_ends",
    "chunk[..., self._middle]",
    "chunk[..., 0]",
)

RECIPE = "test_training_recipe.py"
replace(
    50,
    "all of a gain kept, whatever its error",
    f"{RECIPE}::test_the_network_gets_the_share_that_its_gain_has_earned",
    "return gain**2 / (gain**2 + error**2)",
    "return 1.0",
)
replace(
    51,
    "the linear start draws random numbers of the training",
    f"{RECIPE}::test_the_start_draws_none_of_the_random_numbers_of_the_training",
    "with torch.random.fork_rng(devices=[]):\n            trainer.fit_loop.setup_data()",
    "if True:\n            trainer.fit_loop.setup_data()",
)
replace(
    52,
    "the warm-up off by one",
    f"{RECIPE}::test_the_rate_warms_up_and_decays_over_the_steps_there_are",
    "(step + 1) / (warm_up + 1)",
    "(step + 2) / (warm_up + 1)",
)
replace(
    53,
    "static covariates of another component",
    "test_network.py::test_each_component_reads_its_own_static_covariates",
    "self.static.flatten(0, 1)",
    "self.static.transpose(0, 1).flatten(0, 1)",
)
replace(
    54,
    "the last token of the horizon filled up before its first step",
    "test_network.py::test_each_step_ahead_has_the_time_stamp_of_its_own_token",
    "ahead = fold_patches(ahead, config.num_patch_steps, pad_left=False)",
    "ahead = fold_patches(ahead, config.num_patch_steps, pad_left=True)",
)
replace(
    55,
    "weights that are not finite leave a fit",
    f"{RECIPE}::test_weights_that_are_not_finite_never_leave_a_fit",
    "if before and not are_finite(pl_module.state_dict()):",
    "if not before:",
)
replace(
    56,
    "weights averaged over the horizon in the linear start",
    "test_linear_start.py::test_targets_without_weight_do_not_matter",
    "y = torch.where(seen > 0, seen * y, 0.0) + (1 - seen) * guess",
    "y = y + 0.0 * guess",
)

DAMAGED, PRETRAINED = "test_damaged_files.py", "test_pretrained_files.py"
replace(
    70,
    "checksums of an archive not looked at",
    f"{DAMAGED}::test_a_weight_that_changed_is_found",
    "damaged = archive.testzip()",
    "damaged = None",
)
replace(
    71,
    "weights of another save taken for those of the model",
    f"{DAMAGED}::test_the_weights_of_another_model_are_refused",
    "if Path(weights).exists() and mark_of(path) != mark_of(weights):",
    "if Path(weights).exists() and mark_of(path) == 0:",
)
replace(
    72,
    "a save that was killed between two names not finished",
    "test_interruptions.py::test_a_save_that_is_killed_before_any_step_leaves_a_whole_model",
    "if wanted and wanted == mark_of(new) and wanted != mark_of(path):",
    "if wanted and wanted == mark_of(new) and wanted == mark_of(path):",
)
replace(
    73,
    "a folder of another program replaced",
    f"{PRETRAINED}::test_what_this_package_did_not_write_is_left_alone",
    'return config if isinstance(config, dict) and config.get("format") == FORMAT else None',
    "return config if isinstance(config, dict) else None",
)
replace(
    74,
    "a link followed where a model is written",
    f"{PRETRAINED}::test_what_this_package_did_not_write_is_left_alone",
    "if folder.is_symlink() or (folder.exists() and not folder.is_dir()):",
    "if folder.exists() and not folder.is_dir():",
)
replace(
    75,
    "sizes of a pretrained model not compared with its weights",
    f"{PRETRAINED}::test_a_damaged_or_forged_directory_is_refused[a weight that is no number]",
    "_check_weights(_make_network(model, config), weights)",
    "_make_network(model, config)",
)
replace(
    76,
    "the weights under their hidden name not found",
    f"{PRETRAINED}::test_a_save_that_is_killed_leaves_a_whole_model",
    "for path in (folder / WEIGHTS, beside(folder / WEIGHTS)):",
    "for path in (folder / WEIGHTS,):",
)
replace(
    77,
    "row counts of an Arrow file trusted",
    "test_arrow.py::test_a_row_count_that_was_changed_is_refused_when_the_file_is_opened",
    "batch.validate()",
    "batch.num_rows",
)
replace(
    78,
    "series of a loaded forecaster scaled anew",
    "test_sktime_pretrained.py::test_few_rows_are_enough_for_the_forecast_of_before",
    "instances = as_known(instances, self.model_.scales)",
    "instances = as_known(instances, {})",
)
