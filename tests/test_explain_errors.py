"""What cannot be explained ends in a ValueError that names rule, value and remedy."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from darts.models import NaiveSeasonal
from darts.utils.likelihood_models.torch import QuantileRegression

from informer_forecaster.explain import InformerExplainer

PAST, FUTURE = "past_covariates", "future_covariates"


@pytest.fixture(scope="module")
def explainer(tiny_model, waves):
    """Explain a model with a past and two future covariates, and calendar features."""
    given = {PAST: waves(60), FUTURE: waves(60, 2)}
    return InformerExplainer(tiny_model().fit(waves(40, 2), **given))


@pytest.fixture
def foreground(waves):
    return {
        "foreground_series": waves(30, 2),
        f"foreground_{PAST}": waves(40),
        f"foreground_{FUTURE}": waves(40, 2),
    }


def refuses(*parts):
    """Expect a message with all ``parts`` in their order."""
    return pytest.raises(ValueError, match="(?s)" + ".*".join(map(re.escape, parts)))


def test_the_foreground_is_explained(explainer, foreground):
    """The tests below change one thing each in what passes here."""
    table = explainer.explain(**foreground, horizons=1).get_completeness()
    assert np.isfinite(table.to_numpy()).all()


def test_a_model_must_be_fitted_and_an_informer(tiny_model, waves):
    for model in (tiny_model(), NaiveSeasonal(3).fit(waves()), None):
        with refuses("`model` must be a fitted InformerModel; got ", "Call `model.fit"):
            InformerExplainer(model)


def test_a_model_of_several_series_needs_a_background(tiny_model, waves):
    model = tiny_model().fit([waves(), waves(seed=1)])
    with refuses("`background_series` must be given", "got None. Give some"):
        InformerExplainer(model)
    assert len(InformerExplainer(model, waves()).explain(horizons=1).explanations) == 1


def test_the_background_needs_its_covariates(tiny_model, waves, with_value):
    given = {PAST: waves(60), FUTURE: waves(60, 2)}
    model = tiny_model().fit(waves(40), **given)
    with refuses("`background_past_covariates` must be given", "got NoneType. Pass"):
        InformerExplainer(model, waves(), None, waves(60, 2))
    with refuses("`background_future_covariates` must", "'wave_1'", "got ('wave_0')"):
        InformerExplainer(model, waves(), waves(60), waves(60))
    with refuses("`background_series` must be given with its covariates"):
        InformerExplainer(model, None, waves(60))
    with refuses("`background_future_covariates` must be a Darts TimeSeries", "DataFrame"):
        InformerExplainer(model, waves(), waves(60), waves(60).to_dataframe())
    with refuses("`background_series` must hold finite values", "nan"):
        InformerExplainer(
            model,
            with_value(waves(), 3, np.nan),
            **{f"background_{name}": value for name, value in given.items()},
        )


@pytest.mark.parametrize("horizons", [0, 5, [1, 5], [], True, 1.5])
def test_horizons_lie_in_the_output_chunk(explainer, horizons):
    with refuses("`horizons` must", f"got {horizons!r}" if horizons != [1, 5] else "[1, 5]"):
        explainer.explain(horizons=horizons)


def test_components_are_those_of_the_forecast(explainer, tiny_model, waves):
    with refuses("`target_components` must", "['wave_0', 'wave_1']", "got ['waves']"):
        explainer.explain(target_components=["wave_0", "waves"])
    likelihood = QuantileRegression([0.1, 0.5, 0.9])
    model = InformerExplainer(tiny_model(likelihood=likelihood).fit(waves()))
    with refuses("`target_components` must", "'wave_0_q0.500'", "got ['wave_0']"):
        model.explain(target_components="wave_0")
    result = model.explain(target_components="wave_0_q0.500", horizons=1)
    assert result.explanations[0].components == ("wave_0_q0.500",)


@pytest.mark.parametrize(
    "name", ["foreground_series", f"foreground_{PAST}", f"foreground_{FUTURE}"]
)
def test_names_of_the_foreground_are_those_of_the_background(explainer, foreground, name):
    wrong = foreground[name]
    renamed = wrong.with_columns_renamed(
        list(wrong.components), [f"{c}x" for c in wrong.components]
    )
    with refuses(f"`{name}` must have the components", "'wave_0'", "'wave_0x'", "rename"):
        explainer.explain(**{**foreground, name: renamed})


def test_the_foreground_is_long_enough(explainer, foreground, waves):
    foreground = {name: [one, one] for name, one in foreground.items()}
    foreground["foreground_series"][1] = waves(7, 2)
    with refuses("`foreground_series[1]` must have at least 8 steps", "got 7"):
        explainer.explain(**foreground)


@pytest.mark.parametrize(
    "name", ["foreground_series", f"foreground_{PAST}", f"foreground_{FUTURE}"]
)
def test_a_gap_in_the_foreground_is_named_by_its_argument(explainer, foreground, name):
    values = foreground[name].all_values()
    values[25] = np.nan
    foreground[name] = foreground[name].with_values(values)
    with refuses(f"`{name}`", "nan"):
        explainer.explain(**foreground)


def test_a_gap_before_the_window_of_the_foreground_does_no_harm(explainer, foreground):
    """Only the look-back is explained, as `predict` reads nothing else."""
    clean = explainer.explain(**foreground, horizons=1).get_completeness()
    values = foreground["foreground_series"].all_values()
    values[3] = np.nan
    foreground["foreground_series"] = foreground["foreground_series"].with_values(values)
    assert explainer.explain(**foreground, horizons=1).get_completeness().equals(clean)


@pytest.mark.parametrize("name", [PAST, FUTURE])
def test_covariates_of_the_foreground_are_given(explainer, foreground, name):
    del foreground[f"foreground_{name}"]
    with refuses(f"`foreground_{name}` must be given", "got NoneType. Pass"):
        explainer.explain(**foreground)


def test_covariates_come_with_a_series_and_reach_far_enough(explainer, foreground, waves):
    with refuses("`foreground_series` must be given with its covariates"):
        explainer.explain(foreground_past_covariates=waves(40))
    foreground[f"foreground_{FUTURE}"] = waves(31, 2)
    with pytest.raises(ValueError, match="future"):
        explainer.explain(**foreground)


def test_covariates_that_the_model_does_not_know_are_refused(tiny_model, waves):
    explainer = InformerExplainer(tiny_model().fit(waves()))
    with refuses("`foreground_past_covariates` must be left out", "got list"):
        explainer.explain(waves(), waves(60))


def test_other_arguments_are_checked(explainer, waves):
    with refuses("`attention_rows` must be one of 'kept', 'all'; got 'every'"):
        explainer.explain(attention_rows="every")
    with refuses("`num_points` must be an integer of at least 1; got 0"):
        InformerExplainer(explainer.model, num_points=0)
    with refuses("`foreground_series` must be a Darts TimeSeries", "DataFrame", "from_dataframe"):
        explainer.explain(waves().to_dataframe())


def test_a_result_names_what_it_holds(explainer):
    result = explainer.explain(horizons=[1, 2], target_components="wave_1")
    with refuses("`horizon` must be one of those explained, [1, 2]; got 3"):
        result.get_importance(3)
    with refuses("`component` must be one of those explained, ['wave_1']; got 'wave_0'"):
        result.get_shares(1, "wave_0")
    with refuses("`layer` must be one of [0, 1]", "`encoder_layers`", "got 2"):
        result.plot_sparsity(2)
    with refuses("`part` must be one of ['encoder', 'decoder']; got 'memory'"):
        result.plot_attention(part="memory")
    with refuses("`head` must be one of 0 to 1; got 2"):
        result.plot_attention(head=2)
    with refuses("`channel` must be one of ['wave_0', 'wave_1']; got 'all'"):
        result.plot_sparsity(channel="all")
    for count in (0, 2.5):
        with refuses(f"`num_inputs` must be an integer of at least 1; got {count}"):
            result.plot_importance(1, num_inputs=count)


def test_lists_of_any_kind_name_horizons(explainer):
    some = explainer.explain(horizons=np.arange(1, 3)).get_completeness()
    assert some.equals(explainer.explain(horizons=[1, 2]).get_completeness())


def test_an_empty_foreground_and_a_number_for_a_component_are_named(explainer):
    with refuses("`foreground_series` must hold at least one Darts TimeSeries"):
        explainer.explain([])
    with refuses("`target_components` must name components of the forecast", "got [0]"):
        explainer.explain(target_components=0)


def test_shares_of_a_constant_are_zero(tiny_model, waves):
    """Nothing is added to the baseline, and nothing divided by nothing."""
    constant = waves().with_values(np.full((40, 1), 5.0))
    shares = InformerExplainer(tiny_model().fit(constant)).explain(horizons=1).get_shares(1)
    assert np.isfinite(shares).all()


@pytest.mark.parametrize(("share", "idle"), [(0.0, True), (0.3, False)])
def test_a_warning_names_covariates_that_do_nothing(tiny_model, waves, share, idle):
    """A holiday that never was one, and one that moves the series."""
    flags = (np.random.default_rng(0).random((124, 1, 1)) < share).astype(float)
    holiday = waves(124).with_values(flags).with_columns_renamed("wave_0", "holiday")
    series = waves(120).with_values(waves(120).all_values() - 3 * flags[:120])
    model = tiny_model(n_epochs=0, trainer={"limit_train_batches": None})
    explainer = InformerExplainer(model.fit(series, future_covariates=holiday))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        explainer.explain(horizons=1)
    found = [one for one in map(str, seen) if "['holiday'] change no forecast" in one]
    assert bool(found) is idle
    assert not idle or "early_stopping_patience=None" in found[0]
