"""Defects of lines of this package, each with the test that notices."""

from __future__ import annotations

from mutating import replace

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
    "return (variance / (2 * log_keys)).clamp_(min=1).rsqrt_()",
    "return torch.ones_like(variance)",
)
replace(
    19,
    "tokens of any length in attention",
    "test_large_values.py::test_large_inputs_give_what_they_give_in_double_precision",
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

CALLBACKS = "test_sktime_callbacks.py"
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
    "if isinstance(index, pd.PeriodIndex) else index.tz_convert('UTC') if index.tz else index\n"
    "    assert",
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
    "windows that validate overlap those that train",
    "test_sktime_training.py::test_the_last_eighth_of_the_windows_validates",
    "back >= before + gap * (held > 0)",
    "back >= before",
)
replace(
    49,
    "a parameter of the training that does not reach it",
    "test_sktime_training.py::test_every_parameter_of_the_training_reaches_it",
    "batch_size=self.batch_size,",
    "batch_size=32,",
)
replace(
    90,
    "a copy of the user's callback called in its place",
    f"{CALLBACKS}::test_a_callback_sees_every_training",
    "copy.deepcopy(one) if _is_used_up(one) else one",
    "copy.deepcopy(one)",
)
replace(
    91,
    "a network tied to the user's callbacks",
    f"{CALLBACKS}::test_a_callback_holds_no_network",
    'vars(callback).pop("log", None)',
    "pass",
)
replace(
    39,
    "the lowest quantile fed back in a roll-out",
    "test_sktime_steps.py::test_a_roll_out_goes_on_where_the_chunk_ends",
    "chunk[..., self.middle]",
    "chunk[..., 0]",
)

RECIPE = "test_training_recipe.py"
replace(
    50,
    "all of a gain kept, whatever its error",
    f"{RECIPE}::test_a_change_is_kept_to_the_share_that_its_gain_has_earned",
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
    "if Path(partner).exists() and mark_of(path) != mark_of(partner):",
    "if Path(partner).exists() and mark_of(path) == 0:",
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
    "check_weights(_make_network(model, config), weights)",
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
    78,
    "series of a loaded forecaster scaled anew",
    "test_sktime_pretrained.py::test_few_rows_are_enough_for_the_forecast_of_before",
    "instances = as_known(instances, self.model_.scales)",
    "instances = as_known(instances, {})",
)

# The effects of covariates

EFFECTS = "test_covariate_effects.py"
replace(
    57,
    "effects of covariates left in the look-back",
    f"{EFFECTS}::test_a_known_holiday_is_forecast",
    "inputs = inputs._replace(target=inputs.target - before)",
    "inputs = inputs._replace(target=inputs.target)",
)
replace(
    59,
    "a network that learns what the start leaves",
    "test_network_share.py::test_the_start_has_no_say_in_what_the_network_learns",
    "self.of_network(inputs) if learns",
    "self._forecast(inputs, self._run) if learns",
)
replace(
    79,
    "the day before taken for the same day",
    f"{EFFECTS}::test_an_effect_on_another_day_is_found",
    "at = (steps - shifts).clamp(0, values.shape[1] - 1)",
    "at = (steps - 0 * shifts).clamp(0, values.shape[1] - 1)",
)
replace(
    80,
    "the unit of effects that forecasts worse",
    f"{EFFECTS}::test_effects_grow_with_a_series_that_grows",
    "return min(attempts, key=lambda attempt: attempt.loss)",
    "return max(attempts, key=lambda attempt: attempt.loss)",
)
replace(
    81,
    "other components read with their level",
    "test_component_lags.py::test_level_and_unit_of_the_others_do_not_matter",
    "relative = (target - target.mean(1, keepdim=True))[:, -self.num_steps :]",
    "relative = target[:, -self.num_steps :]",
)
replace(
    82,
    "one large gain that gives every component a map of its own",
    "test_linear_start.py::test_components_choose_for_themselves",
    "others = gains[:, ~is_better].sum(1)",
    "others = gains.sum(1)",
)
replace(
    92,
    "few steps for a small series",
    "test_training_recipe.py::test_epochs_that_nobody_chose_are_enough_steps",
    "min(MOST_EPOCHS, max(N_EPOCHS, NUM_STEPS // max(1, num_batches)))",
    "N_EPOCHS",
)
replace(
    93,
    "epochs of a forecaster that its model never hears of",
    "test_sktime_training.py::test_no_epochs_give_the_linear_forecast",
    "n_epochs=self.n_epochs,",
    "n_epochs=None,",
)
replace(
    94,
    "known covariates that act within a week only",
    f"{EFFECTS}::test_a_known_covariate_that_acts_late_is_found",
    "min(steps, MOST_DELAYS)",
    "min(steps, 7)",
)
replace(
    95,
    "past covariates that act within 48 steps only",
    f"{EFFECTS}::test_a_past_covariate_acts_after_a_long_delay",
    "lags = max(MOST_LAGS, MOST_PAST_STEPS // max(1, config.num_past_covariates))",
    "lags = MOST_LAGS",
)
replace(
    96,
    "pairs of covariates that nobody chose",
    f"{EFFECTS}::test_two_covariates_act_together",
    "pairs.copy_(every[sorted(chosen)])",
    "pairs.copy_(every[:MOST_PAIRS])",
)
replace(
    97,
    "past covariates that act by straight lines only",
    f"{EFFECTS}::test_a_past_covariate_acts_by_its_size",
    "bend(values[:, first_bent:], self.knots).flatten(2)",
    "0 * bend(values[:, first_bent:], self.knots).flatten(2)",
)
replace(
    98,
    "no bends at extremes",
    f"{EFFECTS}::test_what_only_extremes_do_is_found",
    "at = torch.tensor(KNOTS, device=steps.device)",
    "at = torch.tensor(KNOTS, device=steps.device).clamp(0.2, 0.8)",
)
replace(
    99,
    "windows that share their steps count one by one",
    "test_training_recipe.py::test_a_change_is_kept_to_the_share_that_its_gain_has_earned",
    "math.sqrt(min(len(gains), max(1.0, num_apart)))",
    "math.sqrt(len(gains))",
)
replace(
    100,
    "effects learn from the windows that judge them",
    "test_darts_held_back.py::test_a_start_does_not_learn_what_judges_it_until_it_is_judged",
    "found = self._fit_start(whole=not self.trainer.max_epochs)",
    "found = self._fit_start(whole=True)",
)
