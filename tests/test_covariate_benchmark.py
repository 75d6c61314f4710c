"""The benchmark with covariates: its tasks, that nothing sees the future, its scores, its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest


@pytest.fixture
def sales(script):
    """Make the task of business days with known holidays."""
    return script("made_up_tasks").make_sales()


def test_a_task_is_scaled_by_its_training_part(script):
    """Flags of zero and one stay flags."""
    task = script("made_up_tasks").make_demand(days=60)
    end = task.ends[0]
    known = task.covariates.future[0]
    for series in (task.targets[0], known["temperature"]):
        head = series.values()[:end]
        np.testing.assert_allclose([head.mean(), head.std()], [0, 1], atol=1e-5)
    assert set(np.unique(known["work"].values())) == {0, 1}


def test_windows_stay_in_their_part(sales):
    """A validation window that reached into the test part would choose by it."""
    assert list(sales.origins("validation")) == list(range(750, 950 - 10 + 1))
    assert list(sales.origins("test")) == list(range(950, 1000 - 10 + 1))
    values = sales.targets[0].values()
    np.testing.assert_array_equal(sales.truth("test")[3], values[953:963])
    holiday = sales.covariates.future[0].values()[953:963, 0]
    np.testing.assert_array_equal(sales.is_event("test")[3], holiday > 0)


def test_few_windows_begin_at_all_hours(script):
    task = script("made_up_tasks").make_demand(days=200)
    origins = replace(task, windows=50).origins("test")
    assert 25 <= len(origins) <= 50
    assert len({origin % 24 for origin in origins}) == 24


def test_the_causes_are_in_the_covariates(sales):
    """What a least-squares fit to the known causes leaves is the noise of 1 that was added."""
    series = sales.targets[0]
    monday = series.time_index.day_of_week == 0
    causes = np.column_stack([np.ones(1000), monday, sales.covariates.future[0].values()])
    effects, _, _, _ = np.linalg.lstsq(causes, series.values()[:, 0], rcond=None)
    np.testing.assert_allclose(effects, [100, 5, -30], atol=0.5)
    assert np.std(series.values()[:, 0] - causes @ effects) == pytest.approx(1, abs=0.1)


def test_the_naive_forecast_repeats_the_last_season(script, sales):
    naive = script("covariate_methods").METHODS["naive"]
    forecast = naive.fit(sales, script("contenders").Run()).forecast("test")
    values = sales.targets[0].values()
    np.testing.assert_array_equal(forecast[0], np.concatenate([values[945:950]] * 2))


@pytest.mark.parametrize("name", ["make_sales", "make_delay"])
def test_pairs_see_no_value_from_the_origin_on(script, name):
    """Of the targets and past covariates; known-future covariates they do see."""
    pairs = script("pairs")
    task = getattr(script("made_up_tasks"), name)()
    origin = task.origins("test")[0]

    def columns(task):
        return pairs.make_pairs(task, np.array([origin]))[0]

    def spoil(series):
        values = series.values().copy()
        values[origin:] = 1e6
        return series.with_values(values)

    covariates = task.covariates
    changed = replace(
        task,
        targets=tuple(map(spoil, task.targets)),
        covariates=covariates._replace(past=tuple(map(spoil, covariates.past))),
    )
    np.testing.assert_array_equal(columns(task), columns(changed))
    if covariates.future:
        ahead = covariates._replace(future=tuple(map(spoil, covariates.future)))
        assert (columns(task) != columns(replace(task, covariates=ahead))).any()


def test_scores_are_those_written_out(script, sales):
    """On a forecast that is off by one below and, on holidays, by three above."""
    scores = script("covariate_scores")
    truth, event = sales.truth("test"), sales.is_event("test")
    error = np.where(event, 3.0, -1.0)[..., None]
    found = scores.score(sales, "test", truth + error)
    share = event.mean()
    assert found["mse"] == pytest.approx(9 * share + (1 - share))
    assert (found["mae_event"], found["mae_other"]) == (pytest.approx(3), pytest.approx(1))


def test_a_quantile_is_scored_by_its_level(script, sales):
    """All quantiles one below the truth cost their level; the band of 90 % then holds nothing."""
    scores, levels = script("covariate_scores"), np.asarray(script("contenders").QUANTILES)
    truth = sales.truth("test")[..., None]
    below = scores.score(sales, "test", truth - np.ones_like(levels))
    assert below["pinball"] == pytest.approx(levels.mean())
    assert below["cover80"] == below["cover90"] == 0
    # The band of 80 % is missed where that of 90 % still holds.
    offsets = np.where(levels < 0.07, -1.0, 1.0)
    around = scores.score(sales, "test", truth + offsets)
    assert (around["cover80"], around["cover90"]) == (0, 1)


def test_a_forecast_that_is_not_finite_has_no_score(script, sales):
    forecast = sales.truth("test")
    forecast[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        script("covariate_scores").score(sales, "test", forecast)


def test_covariates_are_given_or_withheld(script, sales):
    """N-HiTS takes past covariates only, an ablation none."""
    methods = script("covariate_methods").METHODS
    assert set(methods["informer"].covariates(sales)) == {"future_covariates"}
    assert set(methods["nhits"].covariates(sales)) == {"past_covariates"}
    assert methods["informer-blind"].covariates(sales) == {}
    applies = script("covariate_methods").applies
    assert not applies("informer-blind", script("tasks").make_airline())


def test_a_default_run_repeats_no_default(script, sales):
    """What the rows call the default is what a user gets who gives lengths alone."""
    contenders = script("contenders")
    method = script("covariate_methods").METHODS["informer"]
    assert method.arguments == {}
    given = method.build(sales, contenders.Run(seed=3)).model_params
    default = contenders.InformerModel(20, 10).model_params
    same = {k: v for k, v in given.items() if k not in contenders.ENVIRONMENT}
    assert same == {k: v for k, v in default.items() if k not in contenders.ENVIRONMENT}


def test_a_task_with_files_asks_for_their_directory(script, capsys):
    with pytest.raises(SystemExit):
        script("covariates").read_arguments(["--tasks", "vic_elec"])
    assert "need --data" in capsys.readouterr().err


def test_the_smoke_run_is_resumed(script, tmp_path):
    """Each of our methods leaves a row with finite scores, and a second run adds none."""
    covariates, path = script("covariates"), tmp_path / "rows.csv"
    for _ in range(2):
        covariates.run(covariates.read_arguments(["--smoke", "--csv", str(path)]))
        rows = covariates.read_rows(path)
        assert list(rows["method"]) == list(covariates.SMOKE_METHODS)
    assert np.isfinite(rows[["mse", "mae"]].to_numpy(float)).all()
    assert rows.loc[rows["method"] == "forecaster", "pinball"].notna().all()
    assert len(path.read_text().splitlines()) == 1 + len(rows)
