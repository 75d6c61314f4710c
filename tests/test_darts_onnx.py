"""ONNX: what Darts exports forecasts what the model forecasts, in every mode of the network."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from darts.utils.likelihood_models.torch import QuantileRegression
from darts.utils.onnx import prepare_onnx_inputs, run_onnx_prediction
from darts.utils.onnx.inference import OnnxModelSpec

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

STATIC = pd.DataFrame({"area": [0.5, 2.0], "height": [3.0, 1.0]})

# `sampling_factor=1` and the lengths below leave lazy rows in every ProbSparse layer.
MODES = {
    "sampled": {"sparsity": "sampled"},
    "moment": {"sparsity": "moment", "patch_length": 1},
    "full": {"attention": "full"},
    "cross": {"cross_attention": "prob", "patch_length": 1, "distil": False},
    "without distilling": {"distil": False, "sparsity": "moment", "patch_length": 1},
    "stacks": {"num_encoder_layers": 3, "num_encoder_stacks": 3},
    "patches": {"patch_length": 5, "start_token_length": 7},
    "channel independent": {"channel_independent": True},
    "quantiles": {"likelihood": QuantileRegression([0.1, 0.5, 0.9])},
    "maps of each component": {"own_maps": True},
    "paper": {
        "lookback_skip": False,
        "padding_mode": "circular",
        "use_reversible_instance_norm": False,
        "num_decoder_layers": 2,
    },
    "no mask, relu, no start token": {
        "decoder_causal": False,
        "activation": "relu",
        "start_token_length": 0,
    },
    "shifted, affine norm": {
        "output_chunk_shift": 3,
        "use_reversible_instance_norm": {"affine": True},
    },
}
COVARIATES = {
    "none": (),
    "past": ("past",),
    "future": ("future",),
    "static": ("static",),
    "all": ("past", "future", "static"),
}
# An export takes seconds: these touch every input, and every linear map.
QUICK = {("sampled", "all"), ("maps of each component", "none")}
EVERY = [(mode, covariates) for mode in MODES for covariates in COVARIATES]


@pytest.fixture
def exported(tiny_model, waves, tmp_path):
    """Fit and export a model; give it, a session of the export, and its series."""

    def export(covariates, length=70, own_maps=False, **options):
        kinds = COVARIATES[covariates]
        series = waves(length, 2, dtype=np.float32, static=STATIC if "static" in kinds else None)
        given = {
            f"{kind}_covariates": waves(length + 40, 2, seed=seed, dtype=np.float32)
            for seed, kind in enumerate(("past", "future"), start=1)
            if kind in kinds
        }
        options = {"sampling_factor": 1, "time_features": False, "lookback_skip": True, **options}
        model = tiny_model(32, 12, **options).fit(series, **given)
        if own_maps:
            model.model.network.lookback_skip.set_map(
                torch.randn(2, 1, 12, 32) / 32, torch.zeros(2, 1, 12)
            )
            # Each component reads the 32 steps of the other, too.
            model.model.components.set_map(torch.randn(2, 12, 2 * 32) / 32)
        if model.model.share is not None:
            model.model.share.fill_(0.5)
        path = str(tmp_path / "model.onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about itself
            model.to_onnx(path, verbose=False)
        return model, onnxruntime.InferenceSession(path), series, given

    return export


def run(session, shift, series, given):
    """Forecast by Darts' runner, which cuts future covariates short where a model is shifted."""
    if not shift:
        return run_onnx_prediction(12, session, series, **given, verbose=False).values()
    spec = OnnxModelSpec.from_session(session)
    inputs = prepare_onnx_inputs(series, spec, **given, n=12 + shift)
    taken = {one.name: inputs[one.name] for one in session.get_inputs()}
    return session.run(["prediction"], taken)[0].reshape(12, -1)


@pytest.mark.parametrize(
    ("mode", "covariates"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow, id=", ".join(case))
        for case in EVERY
    ],
)
def test_an_export_forecasts_the_same(exported, mode, covariates):
    """For a constant window too, whose deviation of zero the norm must not divide by."""
    model, session, series, given = exported(covariates, **MODES[mode])
    parameters = model.likelihood is not None
    expected = model.predict(12, series, predict_likelihood_parameters=parameters, **given)
    forecast = run(session, model.output_chunk_shift, series, given)
    # In units of the series' deviation: 32-bit floats of its level, 10, have steps of 1e-6.
    scale = series.values().std()
    error = np.abs(forecast - expected.values()).max() / scale
    assert expected.values().std() / scale > 1e-3
    assert error < 1e-5
    constant = series.with_values(np.full_like(series.all_values(), 7.0))
    flat = run(session, model.output_chunk_shift, constant, given)
    expected = model.predict(12, constant, predict_likelihood_parameters=parameters, **given)
    np.testing.assert_allclose(flat, expected.values(), rtol=1e-5, atol=1e-5)


def test_a_model_of_double_precision_exports_in_single(tiny_model, waves, tmp_path):
    """No runtime has a convolution of doubles. The model itself keeps every bit."""
    series = waves(60)
    model = tiny_model(32, 12, time_features=False).fit(series)
    before = model.predict(12, series)
    assert model.model.dtype == torch.float64
    path = str(tmp_path / "model.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        model.to_onnx(path, verbose=False)
    assert model.model.dtype == torch.float64
    assert model.predict(12, series) == before
    session = onnxruntime.InferenceSession(path)
    forecast = run_onnx_prediction(12, session, series.astype(np.float32), verbose=False)
    np.testing.assert_allclose(forecast.values(), before.values(), rtol=1e-5)
