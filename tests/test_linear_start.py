"""The linear map that training begins at, against numpy's least squares."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from darts.utils.likelihood_models import torch as likelihoods
from torch.utils.data import DataLoader

from informer_forecaster._training import sums, windows
from informer_forecaster._training.ridge import PENALTIES, PENALTY, RidgeRegression
from informer_forecaster._training.sums import Sums
from informer_forecaster._training.windows import FOLDS
from informer_forecaster.adapters import _darts_module


def regression_of(x, y, *, folds=1):
    """Sum the rows of ``x`` and ``y``, ``(N, C, .)``, up in stretches."""
    regression = RidgeRegression(x.shape[2], y.shape[2], x.shape[1])
    for fold, rows in enumerate(np.array_split(np.arange(len(x)), folds)):
        for half in np.array_split(rows, 2):
            regression.add(torch.tensor(x[half]), torch.tensor(y[half]), fold)
    return regression


def weights_of_numpy(x, y, penalty, towards=0.0):
    """Ridge regression of rows ``(N, .)``."""
    size = penalty * np.square(x).sum(0).mean()
    return np.linalg.solve(x.T @ x + size * np.eye(x.shape[1]), x.T @ y + size * towards)


def test_few_rows_share_one_map_by_the_usual_penalty():
    """Summed over batches: the same as of all rows at once."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(25, 2, 4)), random.normal(size=(25, 2, 2))
    found = regression_of(x, y).solve()
    x, y = x.reshape(50, 4), y.reshape(50, 2)
    expected = weights_of_numpy(x, y, PENALTY)
    np.testing.assert_allclose(found.weight[0], expected, rtol=1e-10)
    penalised = x.T @ x + PENALTY * np.square(x).sum(0).mean() * np.eye(4)
    used = np.trace(x @ np.linalg.solve(penalised, x.T)) / 25
    left = np.square(y - x @ expected).sum(0) / (1 - used) ** 2
    np.testing.assert_allclose(found.residual[0], left, rtol=1e-10)


def left_out(x, y, fit):
    """Squared errors ``(folds, C, H)`` of each fold by what is fitted to the other folds."""
    errors = []
    for rows in np.array_split(np.arange(len(x)), FOLDS):
        rest = np.setdiff1d(np.arange(len(x)), rows)
        weights = fit(x[rest], y[rest])
        errors.append(np.square(y[rows] - np.einsum("bcn,cnh->bch", x[rows], weights)).sum(0))
    return np.stack(errors)


def test_the_penalty_is_the_one_that_forecasts_left_out_folds_best():
    """Against fitting the folds one by one: few rows, much noise, so that weak ones overfit."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 1, 8)), random.normal(size=(60, 1, 2))
    y += 0.2 * x[..., :2]
    fits = {p: lambda x, y, p=p: weights_of_numpy(x[:, 0], y[:, 0], p)[None] for p in PENALTIES}
    errors = {p: left_out(x, y, fit) for p, fit in fits.items()}
    best = min(PENALTIES, key=lambda p: errors[p].sum())
    assert best not in (PENALTIES[0], PENALTY)
    found = regression_of(x, y, folds=FOLDS).solve()
    np.testing.assert_allclose(found.weight, fits[best](x, y), rtol=1e-8)
    np.testing.assert_allclose(found.residual, errors[best].sum(0), rtol=1e-8)


def test_folds_that_share_nothing_count_however_few_their_rows_are():
    """Short series: their own windows overlap, so that only the others tell a map's error."""
    random = np.random.default_rng(0)
    x, y = np.repeat(random.normal(size=(2, FOLDS, 1, 12)), 7, axis=1)
    regression = regression_of(x, y, folds=FOLDS)
    errors = left_out(x, y, lambda x, y: weights_of_numpy(x[:, 0], y[:, 0], PENALTIES[-1])[None])
    found = regression.solve(fewest=0)
    np.testing.assert_allclose(found.residual, errors.sum(0), rtol=1e-8)
    assert regression.solve().residual.sum() < 0.5 * found.residual.sum()


def components(*slopes, rows=200, noise=1.0):
    """Components whose outputs follow their inputs by slopes of their own."""
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, len(slopes), 3))
    y = x * np.array(slopes)[:, None] + noise * random.normal(size=x.shape)
    return x, y


def test_components_have_their_own_maps_where_these_forecast_better():
    x, y = components(1.0, -1.0)
    found = regression_of(x, y, folds=FOLDS).solve()
    own = found.weight.numpy()
    shared = weights_of_numpy(x.reshape(-1, 3), y.reshape(-1, 3), PENALTIES[-1])
    for c, slope in enumerate((1.0, -1.0)):
        distances = [
            np.abs(own[c] - weights_of_numpy(x[:, c], y[:, c], p, shared)).max() for p in PENALTIES
        ]
        assert min(distances) < 0.02
        np.testing.assert_allclose(own[c], slope * np.eye(3), atol=0.3)
    np.testing.assert_allclose(found.residual, 200, rtol=0.4)


def test_components_share_a_map_where_it_forecasts_as_well():
    found = regression_of(*components(1.0, 1.0), folds=FOLDS).solve()
    assert found.weight.shape == (1, 3, 3)


def test_components_choose_for_themselves():
    """Two that differ from all others have maps of their own, and leave others the shared one."""
    x, y = components(-1.0, 1.0, 0.0, 0.0, 0.0)
    weight = regression_of(x, y, folds=FOLDS).solve().weight.numpy()
    shared = [weights_of_numpy(x.reshape(-1, 3), y.reshape(-1, 3), p) for p in PENALTIES]
    distances = np.min([np.abs(weight - each).max((1, 2)) for each in shared], axis=0)
    assert (distances[:2] > 0.9).all()
    assert (distances[2:] < 1e-8).sum() == 2


def test_a_gain_too_small_to_tell_by_itself_counts_where_most_components_gain():
    """Twelve slopes, which noise hides one by one; together they are nearer than a shared map."""
    slopes = np.linspace(0.4, 1.6, 12)
    x, y = components(*slopes, rows=100, noise=3.0)
    weight = regression_of(x, y, folds=FOLDS).solve().weight.numpy()
    assert len(np.unique(weight.round(9), axis=0)) > 10
    wanted = slopes[:, None, None] * np.eye(3)
    assert np.square(weight - wanted).mean() < 0.9 * np.square(weight.mean(0) - wanted).mean()


def test_too_many_components_for_the_memory_share_a_map(monkeypatch):
    monkeypatch.setattr(sums, "MOST_PRODUCTS", 20)
    found = regression_of(*components(1.0, -1.0), folds=FOLDS).solve()
    assert found.weight.shape == (1, 3, 3)
    assert found.weight.abs().max() < 0.3


def test_a_component_of_zeros_takes_the_shared_map():
    x, y = components(1.0, -1.0, 0.0)
    x[:, 2] = y[:, 2] = 0
    found = regression_of(x, y, folds=FOLDS).solve()
    assert len(found.weight) == 3
    assert found.weight.isfinite().all()
    assert found.weight[2].abs().max() < 0.3


@pytest.mark.parametrize("folds", [1, FOLDS])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_map_does_not_depend_on_the_unit(scale, folds):
    x, y = components(1.0, -1.0)
    one = regression_of(x, y, folds=folds).solve().weight
    other = regression_of(x * scale, y * scale, folds=folds).solve().weight
    torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_sums_that_are_rounding_teach_nothing():
    """Sums of a fold are taken off those of all: where the rest is zero, noise is left."""
    inner = torch.tensor([[1e-20, -3e-20], [-3e-20, 1e-20]], dtype=torch.float64)
    ones = torch.ones(2, 1, dtype=torch.float64)
    assert not Sums(inner, ones, ones[0]).solve(5e-4).any()
    assert Sums(inner, ones, ones[0]).solve(5e-4, towards=2 * ones).equal(2 * ones)


def test_few_rows_leave_as_much_as_new_ones_do():
    """Twelve weights fitted to twenty rows of noise: what they leave there is far too little."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 20, 1, 12)), random.normal(size=(2, 20, 1, 400))
    weight, residual = regression_of(x[0], y[0]).solve()
    seen, unseen = (np.square(b - a @ weight[0].numpy()).sum() for a, b in zip(x, y, strict=True))
    assert seen < 0.6 * unseen
    assert 0.6 * unseen < residual.sum() < 1.6 * unseen


@pytest.mark.parametrize("value", [0.0, float("inf")])
def test_no_map_is_better_than_a_wrong_one(value):
    assert regression_of(np.full((4, 1, 2), value), np.ones((4, 1, 1))).solve() is None


def forecasts_of_the_start(tiny_model, series, **options):
    """Fit with a learning rate of zero, so that the forecast is that of the start."""
    trainer = {"limit_train_batches": 1.0}
    model = tiny_model(optimizer_kwargs={"lr": 0.0}, trainer=trainer, **options)
    is_distribution = options.get("likelihood") is not None
    model.fit(series)
    return model, model.predict(4, series, predict_likelihood_parameters=is_distribution)


def test_training_begins_at_the_map_for_every_component(tiny_model, waves):
    """An exact recurrence: a sine's next values are a linear map of its last ones."""
    steps = np.arange(200)[:, None]
    series = waves(200, components=2).with_values(np.sin(steps * [0.5, 0.5] + [0.0, 1.0]))
    model, forecast = forecasts_of_the_start(tiny_model, series[:-4], likelihood=None)
    assert not model.model.network.projection.weight.any()
    error = np.abs(forecast.values() - series[-4:].values()).max()
    assert error < 0.15


@pytest.mark.parametrize("quantiles", [None, [0.1, 0.5, 0.9]])
@pytest.mark.parametrize(("unit", "level"), [(1.0, 1e4), (1.0, -1e6), (1e-3, 0.0), (1e3, 5.0)])
def test_the_start_moves_with_the_series_without_the_norm_too(
    tiny_model, waves, unit, level, quantiles
):
    """Nothing corrects it later: the penalty must not pull forecasts towards zero."""
    steps = np.arange(200)[:, None]
    series = waves(200, components=2).with_values(np.sin(steps * [0.5, 0.5] + [0.0, 1.0]))
    likelihood = quantiles and likelihoods.QuantileRegression(quantiles)
    options = {"likelihood": likelihood, "use_reversible_instance_norm": False}
    _, plain = forecasts_of_the_start(tiny_model, series, **options)
    moved = series.with_values(series.values() * unit + level * np.array([1.0, 2.0]))
    _, forecast = forecasts_of_the_start(tiny_model, moved, **options)
    repeats = 1 if quantiles is None else len(quantiles)
    back = (forecast.values() - level * np.repeat([1.0, 2.0], repeats)) / unit
    # The weights add up to one but for rounding, which the level multiplies.
    np.testing.assert_allclose(back, plain.values(), atol=1e-4 + 1e-6 * abs(level))


def test_without_the_norm_a_constant_is_forecast_as_it_is(tiny_model, waves):
    constant = waves(60).with_values(np.full((60, 1), 7.0))
    options = {"likelihood": None, "use_reversible_instance_norm": False}
    _, forecast = forecasts_of_the_start(tiny_model, constant, **options)
    np.testing.assert_allclose(forecast.values(), 7.0, rtol=1e-5)


@pytest.mark.parametrize("name", ["Gaussian", "Laplace", "Gumbel", "Cauchy"])
def test_the_scale_begins_at_the_error_of_the_map(tiny_model, waves, name):
    """White noise: the error of every step has the deviation of the noise, about 3."""
    noise = np.random.default_rng(0).normal(scale=3.0, size=(400, 1))
    series = waves(400).with_values(noise)
    likelihood = getattr(likelihoods, f"{name}Likelihood")()
    _, parameters = forecasts_of_the_start(tiny_model, series, likelihood=likelihood)
    share = {"Gaussian": 1, "Laplace": 0.5**0.5, "Gumbel": 6**0.5 / np.pi, "Cauchy": 0.6745}[name]
    deviation = series[-8:].values().std()
    # Relative to the window's deviation, which is about 7/8 of the noise's.
    expected = share * deviation * np.sqrt((1 + 1 / 8) / (7 / 8))
    np.testing.assert_allclose(parameters.values()[:, 1], expected, rtol=0.15)


def test_quantiles_begin_in_order_and_as_wide_as_the_error(tiny_model, waves):
    """A quarter of white noise lies below the quantile 0.25, before anything is trained."""
    series = waves(400).with_values(np.random.default_rng(1).normal(size=(400, 1)))
    quantiles = likelihoods.QuantileRegression([0.25, 0.5, 0.75])
    model, _ = forecasts_of_the_start(tiny_model, series, likelihood=quantiles)
    forecasts = model.historical_forecasts(
        series, retrain=False, forecast_horizon=4, stride=4, last_points_only=False,
        predict_likelihood_parameters=True,
    )  # fmt: skip
    lower, middle, upper = np.concatenate([one.values() for one in forecasts]).T
    assert (lower < middle).all()
    assert (middle < upper).all()
    actual = np.concatenate([series.slice_intersect(one).values() for one in forecasts])[:, 0]
    assert abs((actual < lower).mean() - 0.25) < 0.08
    assert abs((actual < upper).mean() - 0.75) < 0.08


@pytest.mark.parametrize("lengths", [[20, 14, 20, 17, 20, 20], [60]])
def test_a_fold_has_whole_series_where_there_are_enough(tiny_model, waves, monkeypatch, lengths):
    """Windows of one series overlap; one series is cut, as there is nothing else."""
    seen = {}

    def record(windows, *_, **__):
        for batch in windows:
            levels = set(batch.inputs.target.mean((1, 2)).div(100).round().tolist())
            seen.setdefault(batch.fold, set()).update(levels)
        assert windows.folds_are_apart == (len(lengths) >= FOLDS)

    monkeypatch.setattr(_darts_module, "fit_start", record)
    tiny_model(trainer={"limit_train_batches": None}).fit(
        [waves(length) + 100 * number for number, length in enumerate(lengths)]
    )
    assert len(seen) == FOLDS
    assert sum(map(len, seen.values())) == max(len(lengths), FOLDS)
    assert set.union(*seen.values()) == set(range(len(lengths)))


def test_the_map_stays_while_the_network_is_trained(tiny_model, waves):
    """Also through a second `fit`, and a network that is loaded."""
    model = tiny_model().fit(waves())
    before = model.model.network.lookback_skip.weight.clone()
    assert before.any()
    model.fit(waves(seed=1))
    assert torch.equal(model.model.network.lookback_skip.weight, before)


def test_a_likelihood_without_a_location_trains_the_map(tiny_model, waves):
    """A rate of counts is no linear forecast of the counts."""
    counts = waves().with_values(np.random.default_rng(0).poisson(5.0, size=(40, 1)).astype(float))
    model = tiny_model(likelihood=likelihoods.PoissonLikelihood()).fit(counts)
    skip = model.model.network.lookback_skip
    assert skip.weight.requires_grad
    assert 0 < skip.weight.abs().max() < 0.01  # two steps of Adam away from zero


@pytest.fixture(scope="module")
def with_own_maps(tiny_model, waves):
    """Two components: after a high value comes another in one, and a low one in the other."""
    random = np.random.default_rng(0)
    values = random.normal(size=(600, 2))
    for step in range(1, 600):
        values[step] += [0.9, -0.9] * values[step - 1]
    series = waves(600, components=2).with_values(values)
    return forecasts_of_the_start(tiny_model, series, likelihood=None)


def test_components_that_move_otherwise_get_their_own_maps(with_own_maps):
    model, _ = with_own_maps
    weight = model.model.network.lookback_skip.weight
    assert len(weight) == 2
    # The first step ahead, of the last value; the penalty makes it smaller.
    np.testing.assert_allclose(weight[:, 0, 0, -1].detach(), [0.7, -0.7], atol=0.2)


def test_folds_of_few_windows_count_where_these_are_far_apart(tiny_model, waves):
    """Twelve of a fold, but ten steps from one to the next: few values are shared with others."""
    random = np.random.default_rng(0)
    values = random.normal(size=(600, 2))
    for step in range(1, 600):
        values[step] += [0.9, -0.9] * values[step - 1]
    model = tiny_model(likelihood=None, n_epochs=0, trainer={"limit_train_batches": 1.0})
    model.fit(waves(600, components=2).with_values(values), stride=10)
    weight = model.model.network.lookback_skip.weight
    assert len(weight) == 2
    assert weight[0, 0, 0, -1] > 0.1
    assert weight[1, 0, 0, -1] < -0.1


def test_own_maps_survive_every_kind_of_file(with_own_maps, reloaded):
    """A new network has room for a shared map only, until it is loaded."""
    model, expected = with_own_maps
    for loaded in reloaded(model):
        assert loaded.predict(4, model.training_series) == expected


WEIGHTED = {
    "squared error": {"likelihood": None},
    "without the norm": {"likelihood": None, "use_reversible_instance_norm": False},
    "quantiles": {"likelihood": likelihoods.QuantileRegression([0.1, 0.5, 0.9])},
    "Laplace": {"likelihood": likelihoods.LaplaceLikelihood()},
}


@pytest.mark.parametrize("options", WEIGHTED.values(), ids=WEIGHTED.keys())
@pytest.mark.parametrize("component", [None, 0])
def test_targets_without_weight_do_not_matter(tiny_model, waves, with_value, options, component):
    """Of the last steps, or of one component there; also where a horizon holds both."""
    series = waves(120, components=2)
    masked = slice(None) if component is None else component
    bad = with_value(series, slice(-6, None), 1e5, masked)
    weight = with_value(series.with_values(np.ones((120, 2))), slice(-6, None), 0.0, masked)

    def forecast(one):
        trainer = {"limit_train_batches": 1.0}
        model = tiny_model(n_epochs=2, trainer=trainer, **options).fit(one, sample_weight=weight)
        return model.predict(
            4, series[:-6], predict_likelihood_parameters=options["likelihood"] is not None
        ).values()

    # The batch norm of distilling is over all windows, whatever their weight.
    np.testing.assert_allclose(forecast(bad), forecast(series), rtol=1e-4)


def test_weights_within_a_horizon_lead_to_weighted_least_squares(tiny_model, waves):
    """Every second step is of another kind and has no weight: the map forecasts the others."""
    random = np.random.default_rng(0)
    values = random.normal(size=(600, 1))
    values[::2] = 5.0
    odd = np.arange(600)[:, None] % 2
    series = waves(600).with_values(values)
    weight = series.with_values(odd.astype(float))
    trainer = {"limit_train_batches": 1.0}
    model = tiny_model(n_epochs=0, trainer=trainer, likelihood=None)
    forecast = model.fit(series, sample_weight=weight).predict(4, series).values()[:, 0]
    seen = forecast[(np.arange(600, 604) % 2) == 1]
    assert np.abs(seen - values[1::2].mean()).max() < 0.8


def test_the_start_reads_batches_of_its_own_by_one_set_of_workers(tiny_model, waves, monkeypatch):
    """Its columns would grow with the batches of the training, and each loader starts workers."""
    loaders, begin = [], DataLoader.__iter__
    monkeypatch.setattr(windows, "NUMBERS_AT_ONCE", 64 * (8 + 4))
    monkeypatch.setattr(DataLoader, "__iter__", lambda one: loaders.append(one) or begin(one))

    def fit(batch_size, **options):
        """Give the model, and the workers and the largest batch of each loader."""
        loaders.clear()
        model = tiny_model(
            batch_size=batch_size,
            n_epochs=0,
            trainer={"limit_train_batches": None},
            time_features=False,
            **options,
        )
        model.fit(waves(400), dataloader_kwargs={"num_workers": 1})
        return model, Counter(
            (each.num_workers, max(map(len, each.batch_sampler))) for each in loaders
        )

    large, read = fit(256)
    _, read_by_lightning = fit(256, lookback_skip=False)
    assert read - read_by_lightning == {(1, 64): 1, (0, 1): 2}
    small, _ = fit(8)
    one, other = (each.model.network.lookback_skip.weight for each in (large, small))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
