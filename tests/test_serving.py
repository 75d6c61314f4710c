"""The example that serves an export: its forecasts, in a process without torch; its limits."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from darts.utils.likelihood_models.torch import QuantileRegression

from informer_forecaster.time_features import TimeFeatures, informative_features

for _needed in ("onnxruntime", "onnxscript", "fastapi", "uvicorn"):
    pytest.importorskip(_needed)

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "serve_onnx.py"
SECONDS = 5  # how long a connection may last
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
def exported(model_and_series, tmp_path_factory):
    """Export the model."""
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        model_and_series[0].to_onnx(str(path), verbose=False)
    return path


@pytest.fixture(scope="module")
def address(exported):
    """Serve the model by the example, in a process without torch."""
    command = [
        *(sys.executable, "-W", "ignore", "-c", BLOCKED),
        EXAMPLE,
        exported,
        "--port",
        "0",
        "--seconds",
        str(SECONDS),
    ]
    environment = {name: one for name, one in os.environ.items() if name != "PYTHONPATH"}
    server = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    said = server.stdout.readline().strip()
    assert said.startswith("http://"), server.stderr.read()[-2000:]
    yield said
    server.terminate()
    server.communicate(timeout=30)


def post(address, body):
    """Post a body; give the status and the answer."""
    wanted = urllib.request.Request(
        f"{address}/forecast", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(wanted, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()) if error.code == 422 else None


def ask(address, request):
    """Post a request; give the answer."""
    status, answer = post(address, json.dumps(request).encode())
    assert status == 200, answer
    return answer


def connect(address):
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


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


CHANGES = {
    "too few steps": ({"values": [[1.0, 2.0]] * 5}, "past_target must be finite"),
    "no steps": ({"values": []}, "past_target must be finite"),
    "ragged": ({"values": [[1.0, 2.0], [1.0]] * 30}, "inhomogeneous"),
    "not a number": ({"values": [[float("nan"), 2.0]] * 60}, "finite number"),
    "infinite": ({"values": [[float("-inf"), 2.0]] * 60}, "finite number"),
    "too large for single precision": (
        {"values": [[1e39, 2.0]] * 60},
        "past_target must be finite",
    ),
    "a string": ({"values": "1, 2"}, "values: Input should be a valid list"),
    "covariates missing": ({"past_covariates": []}, "past_covariates must be finite"),
    "covariates of too few steps": ({"future_covariates": [[1.0]] * 3}, "dimension"),
    "no covariates": ({"past_covariates": 1.0}, "past_covariates: Input should be a valid list"),
    "no date": ({"start": "yesterday"}, "start: String should match"),
    "no such date": ({"start": "2024-02-31"}, "out of range"),
    "no time": ({"start": "NaT"}, "start: String should match"),
    "infinite step": ({"step_in_seconds": float("inf")}, "step_in_seconds: Input should be a"),
    "step of no length": ({"step_in_seconds": 0}, "greater than or equal to 1"),
    "step back": ({"step_in_seconds": -3600}, "greater than or equal to 1"),
    "step of an age": ({"step_in_seconds": 10**18}, "less than or equal to"),
    "a field too many": ({"path": "/etc/passwd"}, "path: Extra inputs"),
}


@pytest.mark.parametrize(("change", "reason"), CHANGES.values(), ids=CHANGES)
def test_a_request_that_does_not_fit_gets_a_reason(address, request_of_series, change, reason):
    status, answer = post(address, json.dumps({**request_of_series, **change}).encode())
    assert (status, reason in answer["detail"]) == (422, True), answer


def test_a_forecast_that_is_not_finite_is_no_answer(exported, request_of_series):
    example = runpy.run_path(str(EXAMPLE))
    service = example["Service"](exported, example["HOURLY"])
    request = example["Series"](**request_of_series)
    forecast = np.array(service.forecast(request)["forecast"])[np.newaxis]
    forecast[0, -1, 0, 0] = np.nan
    service.session = SimpleNamespace(run=lambda *_: [forecast])
    with pytest.raises(ValueError, match="must be of the size"):
        service.forecast(request)


BODIES = {
    "no JSON": (b"{", 422),
    "not text": (b"\xff\xfe", 422),
    "nested without end": (b"[" * 10**5, 400),
    "a number without end": (b'{"start": ' + b"9" * 10**5 + b"}", 400),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_none_is_refused(address, request_of_series, body, status):
    assert post(address, body)[0] == status
    ask(address, request_of_series)


HEADERS = b"POST /forecast HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
RAW = {
    "a negative length": (HEADERS + b"Content-Length: -1\r\n\r\n{}", b" 400 "),
    "two lengths": (HEADERS + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b" 400 "),
    "a length of an age": (HEADERS + b"Content-Length: 999999999999\r\n\r\n{}", b" 413 "),
    "chunks without end": (
        HEADERS + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n%s\r\n" % (b" " * 2**16) * 20,
        b" 413 ",
    ),
    "headers without end": (HEADERS + b"X: " + b"x" * 2**18, b" 400 "),
    "no HTTP": (b"\x16\x03\x01 hello\r\n\r\n", b" 400 "),
}


@pytest.mark.parametrize(("sent", "status"), RAW.values(), ids=RAW)
def test_a_message_that_breaks_the_protocol_is_refused_at_once(address, sent, status):
    with connect(address) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
        assert status in connection.recv(4096).split(b"\r\n")[0]


def test_connections_that_say_nothing_or_little_hold_up_nobody(address, request_of_series):
    """Each costs no thread, and ends when its time is over, also if it goes on sending."""
    idle = [connect(address) for _ in range(200)]
    slow = connect(address)
    slow.sendall(HEADERS + b"Content-Length: 1000\r\n\r\n{")
    began = time.monotonic()
    ask(address, request_of_series)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < began + 20 * SECONDS:
            slow.sendall(b" ")
            time.sleep(0.1)
        pytest.fail("the slow connection is still there")
    for connection in idle:
        with connection, contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    slow.close()
    ask(address, request_of_series)


@pytest.mark.parametrize("frequency", ["37s", "7min", "5h", "D", "W", "MS"])
def test_the_example_knows_the_calendar_of_every_frequency(frequency):
    """Over leap years, and the weeks that lie across two years."""
    names = informative_features(frequency)
    index = pd.date_range("1999-11-27 13:05:09", periods=3000, freq=frequency)
    calendar = runpy.run_path(str(EXAMPLE))["calendar"]
    ours = calendar(index.to_numpy().astype("datetime64[s]"), names)
    assert np.array_equal(ours, TimeFeatures(names)(index))
