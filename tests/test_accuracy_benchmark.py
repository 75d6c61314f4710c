"""The accuracy benchmark: its protocol, its recipes, that it resumes, and the page it writes."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries
from darts.models import GlobalNaiveSeasonal

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}


@pytest.fixture
def naive():
    """Make a fitted model that repeats the last value."""

    def make(series: TimeSeries) -> GlobalNaiveSeasonal:
        return GlobalNaiveSeasonal(1, 1, pl_trainer_kwargs={"accelerator": "cpu", **QUIET}).fit(
            series
        )

    return make


def test_parts_are_scaled_by_the_training_part(script):
    """The later parts begin with a look-back, and nothing of them reaches the scaling."""
    protocol = script("protocol")
    parts = protocol.load_parts(protocol.WAVES, None, look_back=24)
    assert [len(part) for part in parts] == [240, 24 + 80, 24 + 80]
    np.testing.assert_allclose(parts.train.values().mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(parts.train.values().std(axis=0), 1, atol=1e-5)
    assert parts.validation[:24] == parts.train[-24:]
    assert parts.test[:24] == parts.validation[-24:]
    univariate = protocol.load_parts(protocol.WAVES, None, 24, univariate=True)
    assert univariate.test == parts.test["OT"]


@pytest.mark.parametrize("apart", [False, True])
def test_every_window_is_scored(script, naive, apart):
    """Against the errors written out, window by window: none is dropped at the end."""
    protocol = script("protocol")
    part = protocol.load_parts(protocol.WAVES, None, 24).test
    model = naive(protocol.columns_of(part, apart))
    scores = protocol.score(model, part, 24, 8, apart=apart, retrain=False)
    values = part.values()
    origins = range(24, len(values) - 8 + 1)
    errors = np.stack([values[t : t + 8] - values[t - 1] for t in origins])
    assert scores.windows == len(errors) == 80 - 8 + 1
    assert scores.mse == pytest.approx(np.square(errors).mean(), rel=1e-5)
    assert scores.mae == pytest.approx(np.abs(errors).mean(), rel=1e-5)


def test_few_windows_are_scored_at_all_hours(script, naive):
    """A slow method's windows are counted, and do not all begin at one time of the day."""
    protocol = script("protocol")
    part = protocol.load_parts(protocol.WAVES, None, 24).test
    scores = protocol.score(naive(part), part, 24, 8, windows=10, retrain=False)
    assert scores.windows == -(-73 // 7)
    assert protocol.stride_of(73, None) == protocol.stride_of(73, 100) == 1
    for count in (73, 2785, 10801):
        stride = protocol.stride_of(count, 32)
        assert len({first % 24 for first in range(0, stride * 24, stride)}) == 24


def test_validation_windows_are_whole(script):
    protocol = script("protocol")
    part = protocol.load_parts(protocol.WAVES, None, 24).validation
    assert protocol.validation_windows(part, 32, None) == [part]
    windows = protocol.validation_windows(part, 32, 4)
    assert {len(one) for one in windows} == {32}
    assert len(windows) >= 4


def test_a_method_takes_changes_in_brackets(script):
    methods = script("ablations")
    changed = methods.find("informer-points[distil=false,look_back=24,sparsity=moment]")
    model = changed.build(8, {})
    assert model.input_chunk_length == 24
    assert model.model_params["distil"] is False
    assert model.model_params["sparsity"] == "moment"
    rolled_out = methods.find("informer[output_chunk_length=2,windows=4]")
    assert rolled_out.build(8, {}).output_chunk_length == 2
    assert rolled_out.windows == 4


@pytest.mark.parametrize("name", ["nothing", "informer[distil]", "informer[", "informer[1=2]"])
def test_an_unknown_method_is_refused(script, name):
    with pytest.raises(ValueError, match="informer"):
        script("ablations").find(name)


def test_a_method_without_its_package_is_refused(script, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    find = script("ablations").find
    with pytest.raises(ValueError, match=r"'prophet' needs prophet.*\.\[benchmarks\]"):
        find("prophet")
    assert find("prophet", installed=False).title == "Prophet"


@pytest.mark.parametrize(
    ("name", "features", "horizon", "look_back", "start_token"),
    [
        ("paper", "multivariate", 720, 336, 336),
        ("paper-norm", "univariate", 24, 720, 168),
        ("paper-norm", "multivariate", 96, 96, None),  # no horizon of the paper on ETTh1
        ("paper-norm[look_back=48]", "univariate", 24, 48, None),
        ("paper-norm[start_token_length=24]", "univariate", 24, 720, 24),
        ("informer", "univariate", 24, 512, None),
    ],
)
def test_the_papers_network_sees_what_it_saw_there(
    script, name, features, horizon, look_back, start_token
):
    """Its look-back differs from cell to cell; what brackets state comes first."""
    recipe = script("ablations").find(name).on("ETTh1", features, horizon)
    assert recipe.look_back == look_back
    assert recipe.arguments.get("start_token_length") == start_token


@pytest.mark.parametrize(("dataset", "steps"), [("ETTh2", 24), ("ETTm1", 96), ("waves", 24)])
def test_the_last_day_has_the_rows_of_a_day(script, dataset, steps):
    """A quarter of a day repeated would be a comparison that anything wins."""
    recipe = script("ablations").find("repeat-day").on(dataset, "multivariate", 8)
    assert recipe.build(8, {}).input_chunk_length == steps


def test_the_default_informer_repeats_no_default(script):
    """What the recipe leaves out is the adapter's, whatever that becomes."""
    methods = script("methods")
    assert set(methods.METHODS["informer"].arguments) <= {"patch_length"}


def test_every_ablation_names_methods(script):
    methods = script("ablations")
    for names in methods.ABLATIONS.values():
        for name in names:
            assert methods.find(name).on("ETTh1", "multivariate", 96).build(96, {}).model_params


def start(ett: ModuleType, *options: str) -> None:
    """Run with options, in this process; `main` would silence the log for the tests after it."""
    ett.run(ett.read_arguments(options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--methods", "arima"], "add --features univariate"),
        (["--methods", "informer[nhead=3]"], "divisible by `nhead`"),
        (["--horizons", "0"], "paper, standard or a number"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_runs(script, capsys, options, message):
    with pytest.raises(SystemExit):
        script("ett").read_arguments(options)
    assert message in capsys.readouterr().err


def test_a_run_is_resumed(script, tmp_path, monkeypatch):
    """A finished cell is not run again, unless its recipe changed; a page is written each time."""
    ett, path = script("ett"), tmp_path / "ett.csv"
    ran = []
    run_cell = ett.run_cell
    monkeypatch.setattr(
        ett, "run_cell", lambda cell, *rest: ran.append(cell["method"]) or run_cell(cell, *rest)
    )
    command = ["--smoke", "--csv", str(path), "--methods", "repeat-last"]
    start(ett, *command)
    start(ett, *command, "nlinear", "informer[d_model=8]")
    assert ran == ["repeat-last", "nlinear", "informer[d_model=8]"]
    monkeypatch.setitem(script("recipe").TRAINING, "batch_size", 16)
    start(ett, *command, "nlinear")
    assert ran[3:] == ["nlinear"]
    rows = script("results").read(path)
    assert list(rows["method"]) == ["repeat-last", "informer[d_model=8]", "nlinear"]
    assert len(path.read_text().splitlines()) == 1 + 4
    assert (rows[["mse", "mae", "val_mse"]] > 0).all(axis=None)
    trained = rows[rows["method"] != "repeat-last"]
    assert (trained["parameters"] > 0).all()
    assert set(trained["epochs"]) == {1}
    assert json.loads(rows["settings"].iloc[-1])["batch_size"] == 16
    assert path.with_suffix(".md").exists()


@pytest.mark.parametrize("features", ["multivariate", "univariate"])
@pytest.mark.slow
def test_every_method_runs(script, tmp_path, features):
    path = tmp_path / "ett.csv"
    start(script("ett"), "--smoke", "--features", features, "--csv", str(path))
    methods = {
        name
        for name, method in script("methods").METHODS.items()
        if script("recipe").is_installed(method)
        and (features == "univariate" or method.kind != "refitted")
    }
    assert set(script("results").read(path)["method"]) == methods


def test_the_page_is_that_of_the_rows(script):
    """The page shows the committed figures and no others."""
    page = script("ett_page")
    text = page.PAGE.read_text(encoding="utf-8")
    rows = script("results").read(page.RESULTS)
    assert page.make_page(text, rows) == text, "run docs/benchmarks/ett_page.py"


def make_rows(*cells: tuple[str, int, int, float]) -> pd.DataFrame:
    """Make rows of method, horizon, seed and error."""
    shared = {"dataset": "ETTh1", "features": "multivariate", "lookback": 96, "windows": 100}
    shared |= {"mae": 0.5, "seconds": 2.0, "forecast_seconds": 1.0, "parameters": 7}
    return pd.DataFrame(
        [{**shared, "method": m, "horizon": h, "seed": s, "mse": e} for m, h, s, e in cells]
    )


def test_a_cell_that_was_not_run_is_empty(script):
    page = script("ett_page")
    rows = make_rows(("nlinear", 96, 0, 0.4), ("nlinear", 96, 1, 0.5), ("nlinear", 720, 0, 0.7))
    rows.loc[2, "windows"] = 50
    table = page.make_error_table(rows, page.read_published().iloc[:0], (96, 192, 720))
    expected = "| NLinear | 96 | 0.450 ± 0.071 (0.500) |  | 0.700 (0.500) | 2 | 7 | 2 |"
    assert table.splitlines()[-1] == expected


def test_few_windows_are_stated(script):
    page = script("ett_page")
    rows = make_rows(("nlinear", 96, 0, 0.4), ("transformer", 96, 0, 0.5))
    rows.loc[1, "windows"] = 25
    table = page.make_error_table(rows, page.read_published().iloc[:0], (96,))
    assert "| Transformer, step by step, 25 windows | 96 |" in table


def test_figures_are_drawn_of_what_was_run(script, tmp_path):
    """And left out where nothing was: an empty chart says nothing."""
    page = script("ett_page")
    both = make_rows(("lstm", 96, 0, 0.4), ("lstm", 720, 0, 0.7), ("transformer", 96, 0, 0.5))
    page.write_page(both, tmp_path / "a.md")
    names = {one.name for one in (tmp_path / "figures").iterdir()}
    assert names == {"accuracy.png", "accuracy_decoding.png"}
    page.write_page(make_rows(("nlinear", 96, 0, 0.4)).iloc[:0], tmp_path / "b.md")
    text = (tmp_path / "b.md").read_text(encoding="utf-8")
    assert "figures/" not in text.partition(script("tables").begin("ett_page"))[2]


def test_every_method_with_a_line_is_in_a_panel_and_no_panel_has_more_than_six(script):
    page = script("ett_page")
    rows = script("results").read(page.RESULTS)
    drawn = set(page.FIGURES[0].choose(rows)["method"])
    assert drawn <= {"informer"}.union(*page.GROUPS.values())
    assert max(len(methods) for methods in page.GROUPS.values()) < 6
