"""The example that serves an export: its forecasts, in a process that can import no torch."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from darts.utils.likelihood_models.torch import QuantileRegression

from informer_forecaster.adapters.time_features import TimeFeatures, informative_features

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "serve_onnx.py"
# None in sys.modules is what the import system takes for "not to be found".
BLOCKED = """
import runpy, sys
blocked = ["torch", "darts", "pandas", "sktime", "sklearn", "scipy", "informer_forecaster"]
sys.modules.update(dict.fromkeys(blocked))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def model_and_series(tiny_model, waves):
    """Fit with all covariates, calendar features and quantiles."""
    static = pd.DataFrame({"area": [0.5, 2.0]})
    series = waves(60, 2, dtype=np.float32, static=static)
    given = {
        "past_covariates": waves(60, seed=1, dtype=np.float32),
        "future_covariates": waves(80, seed=2, dtype=np.float32),
    }
    likelihood = QuantileRegression([0.1, 0.5, 0.9])
    model = tiny_model(24, 6, likelihood=likelihood, sparsity="moment", sampling_factor=1)
    return model.fit(series, **given), series, given


@pytest.fixture(scope="module")
def address(model_and_series, tmp_path_factory):
    """Export the model and serve it by the example, in a process without torch."""
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        model_and_series[0].to_onnx(str(path), verbose=False)
    command = [sys.executable, "-W", "ignore", "-c", BLOCKED, EXAMPLE, path, "--port", "0"]
    environment = {name: one for name, one in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = server.stdout.readline().strip()
    assert said.startswith("http://"), server.stderr.read()[-2000:]
    yield said
    server.terminate()
    server.communicate(timeout=30)


def ask(address, request):
    """Post a request; give the answer."""
    body = json.dumps(request).encode()
    with urllib.request.urlopen(urllib.request.Request(address, body), timeout=60) as answer:
        return json.loads(answer.read())


@pytest.fixture
def request_of_series(model_and_series):
    _, series, given = model_and_series
    return {
        "start": series.start_time().isoformat(),
        "values": series.values().tolist(),
        "static_covariates": series.static_covariates_values().tolist(),
        **{name: one.values().tolist() for name, one in given.items()},
    }


def test_a_service_without_torch_forecasts_what_the_model_does(
    address, model_and_series, request_of_series
):
    """Calendar features included, which Darts' encoders add and the service computes itself."""
    model, series, _ = model_and_series
    expected = model.predict(6, predict_likelihood_parameters=True)
    answer = ask(address, request_of_series)
    assert answer["parameters"] == model.likelihood.parameter_names
    assert [pd.Timestamp(one) for one in answer["times"]] == list(expected.time_index)
    forecast = np.array(answer["forecast"])  # (H, C, P)
    difference = np.abs(forecast.reshape(6, -1) - expected.values()).max()
    assert difference / series.values().std() < 1e-5


def test_a_request_that_does_not_fit_gets_a_reason(address, request_of_series):
    for change, reason in (
        ({"values": [[1.0, 2.0]] * 5}, "past_target must be finite"),
        ({"values": [[float("nan"), 2.0]] * 60}, "past_target must be finite"),
        ({"past_covariates": []}, "past_covariates must be finite"),
        ({"past_covariates": 1.0}, "indices"),
        ({"start": "yesterday"}, "yesterday"),
    ):
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(address, {**request_of_series, **change})
        assert caught.value.code == 400
        assert reason in json.loads(caught.value.read())["error"]


@pytest.mark.parametrize("frequency", ["37s", "7min", "5h", "D", "W", "MS"])
def test_the_example_knows_the_calendar_of_every_frequency(frequency):
    """Over leap years, and the weeks that lie across two years."""
    names = informative_features(frequency)
    index = pd.date_range("1999-11-27 13:05:09", periods=3000, freq=frequency)
    calendar = runpy.run_path(str(EXAMPLE))["calendar"]
    ours = calendar(index.to_numpy().astype("datetime64[s]"), names)
    assert np.array_equal(ours, TimeFeatures(names)(index))
