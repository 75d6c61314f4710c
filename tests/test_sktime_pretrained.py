"""Forecasters as JSON and safetensors: what comes back, what is refused; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from informer_forecaster import InformerForecaster, InformerModel

TINY = {**InformerForecaster.get_test_params()[0], "output_chunk_length": 3}
MONTHS = pd.period_range("2001-01", periods=60, freq="M", name="month")


def make(**parameters):
    return InformerForecaster(**{**TINY, **parameters})


def noise(columns=("a", "b"), rows=60, seed=0):
    values = np.random.default_rng(seed).normal(50, 5, size=(rows, len(columns)))
    return pd.DataFrame(values, index=MONTHS[:rows], columns=list(columns))


def panel(*tables):
    return pd.concat(dict(zip("xyz", tables, strict=False)), names=["shop"])


X = noise(("price", "holiday"), seed=1)
CASES = {
    "plain": ({}, noise(), None),
    "one column": ({}, noise("a"), None),
    "no quantiles": ({"quantiles": None}, noise(), None),
    "other quantiles": ({"quantiles": (0.1, 0.4)}, noise(), None),
    "no scaler": ({"scaler": None}, noise(), None),
    "no calendar": ({"time_features": False}, noise(), None),
    "exogenous": ({"past_covariates": ("price",)}, noise(), X),
    "mixed columns": ({"channel_independent": False, "attention": "full"}, noise(), None),
    "rows that validate": (
        {
            "early_stopping_patience": 1,
            "use_reversible_instance_norm": False,
        },
        noise(),
        None,
    ),
    "a panel": (
        {"use_reversible_instance_norm": False},
        panel(noise(), 9 * noise(seed=2), noise(rows=30, seed=3)),
        None,
    ),
}


@pytest.mark.parametrize(("parameters", "y", "exogenous"), CASES.values(), ids=CASES)
def test_the_forecast_is_equal_to_the_last_bit(tmp_path, parameters, y, exogenous):
    """Of the same rows, whether points or intervals, and after an update too."""
    known = None if exogenous is None else exogenous[:50]
    rows = y if isinstance(y.index, pd.MultiIndex) else y[:50]
    forecaster = make(**parameters).fit(rows, known, fh=[1, 3])
    forecaster.save_pretrained(tmp_path / "model")
    loaded = InformerForecaster.from_pretrained(tmp_path / "model", random_state=0)
    assert loaded.state == "pretrained"
    loaded.fit(rows, known, fh=[1, 3])
    for method in (
        ("predict",)
        if parameters.get("quantiles", ()) is None
        else (
            "predict",
            "predict_interval",
        )
    ):
        expected = getattr(forecaster, method)(X=exogenous)
        pd.testing.assert_frame_equal(
            getattr(loaded, method)(X=exogenous), expected, check_exact=True
        )
    apart = ("pl_trainer_kwargs", "verbose")
    expected = {k: v for k, v in forecaster.get_params().items() if k not in apart}
    assert {k: v for k, v in loaded.get_params().items() if k not in apart} == expected


def test_few_rows_are_enough_for_the_forecast_of_before(tmp_path):
    """The scale is that of the training, not of the rows that a forecast begins with."""
    y = 7 * noise()
    forecaster = make(use_reversible_instance_norm=False).fit(y, fh=[1, 2])
    forecaster.save_pretrained(tmp_path / "model")
    loaded = InformerForecaster.from_pretrained(tmp_path / "model").fit(y[-4:], fh=[1, 2])
    pd.testing.assert_frame_equal(loaded.predict(), forecaster.predict(), rtol=1e-5)


def test_other_series_are_scaled_by_their_own_rows(tmp_path):
    """As after `pretrain`: of other labels, or of columns of other names."""
    y = panel(noise(), noise(seed=2))
    forecaster = make(use_reversible_instance_norm=False).pretrain(y, fh=[1])
    forecaster.save_pretrained(tmp_path / "model")
    fitted = make(use_reversible_instance_norm=False, random_state=0).fit(y, fh=[1])
    fitted.save_pretrained(tmp_path / "fitted")
    other = 1000 + 30 * noise(("c", "d"), seed=5)
    expected = forecaster.fit(other, fh=[1]).predict()
    for name in ("model", "fitted"):
        loaded = InformerForecaster.from_pretrained(tmp_path / name).fit(other, fh=[1])
        pd.testing.assert_frame_equal(loaded.predict(), expected, check_exact=True)


def test_a_loaded_forecaster_is_fine_tuned_updated_and_saved_again(tmp_path):
    y = noise()
    forecaster = make().fit(y[:40], fh=[1, 2])
    forecaster.save_pretrained(tmp_path / "model")
    loaded = InformerForecaster.from_pretrained(tmp_path / "model", random_state=0)
    loaded.save_pretrained(tmp_path / "again")
    again = InformerForecaster.from_pretrained(tmp_path / "again", random_state=0)
    updated = [one.fit(y[:40], fh=[1, 2]).update(y[40:]).predict() for one in (loaded, again)]
    pd.testing.assert_frame_equal(*updated, check_exact=True)
    # The first training drew from the generator of its own forecaster.
    pd.testing.assert_frame_equal(updated[0], forecaster.update(y[40:]).predict(), rtol=1e-3)
    tuned = InformerForecaster.from_pretrained(tmp_path / "model", fit_after_pretrain="finetune")
    before = InformerForecaster.from_pretrained(tmp_path / "model").fit(y, fh=[1, 2]).predict()
    assert not tuned.fit(y, fh=[1, 2]).predict().equals(before)


def test_the_files_hold_no_series(tmp_path):
    y = noise() + 0.123456789
    make().fit(y, fh=[1]).save_pretrained(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    content = (tmp_path / "model" / "model.safetensors").read_bytes()
    for rows in (y.to_numpy(), y.to_numpy().astype(np.float32)):
        assert rows[-1].tobytes() not in content
    with pytest.raises(Exception, match="fit"):
        InformerForecaster.from_pretrained(tmp_path / "model").predict(fh=[1])


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    forecaster = make().fit(noise(), fh=[1])
    forecaster.save_pretrained(tmp_path / "model")
    expected = forecaster.predict()

    def refuse(*_, **__):
        raise AssertionError("something is unpickled")

    with monkeypatch.context() as patch:
        for owner, name in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
            patch.setattr(owner, name, refuse)
        loaded = InformerForecaster.from_pretrained(tmp_path / "model").fit(noise(), fh=[1])
        pd.testing.assert_frame_equal(loaded.predict(), expected, check_exact=True)


def test_a_network_that_is_not_trained_is_refused(tmp_path):
    with pytest.raises(ValueError, match="call `fit` or `pretrain` first"):
        make().save_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (noise([("a", 1), "b"]), "`columns of y"),
        (panel(noise()).rename(index={"x": pd.Timestamp("2020")}), "`labels of series`"),
    ],
)
def test_labels_that_are_no_data_are_refused_by_name(tmp_path, y, message):
    forecaster = make().fit(y, fh=[1])
    with pytest.raises(ValueError, match=rf"{message}.* cannot be saved as data.*`save`"):
        forecaster.save_pretrained(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_the_other_adapter_is_refused(tmp_path, tiny_model, waves):
    tiny_model().fit(waves()).save_pretrained(tmp_path / "darts")
    make().fit(noise(), fh=[1]).save_pretrained(tmp_path / "sktime")
    with pytest.raises(ValueError, match="of the class InformerModel"):
        InformerForecaster.from_pretrained(tmp_path / "darts")
    with pytest.raises(ValueError, match="of the class InformerForecaster"):
        InformerModel.from_pretrained(tmp_path / "sktime")
    with pytest.raises(ValueError, match="`d_model` is fixed in a trained network"):
        InformerForecaster.from_pretrained(tmp_path / "sktime", d_model=16)


def forge(change):
    """Change the configuration, and the checksum with it."""

    def forged(directory):
        config = json.loads((directory / "config.json").read_text())
        del config["checksum"]
        change(config)
        content = json.dumps(config, sort_keys=True).encode()
        content += (directory / "model.safetensors").read_bytes()
        config["checksum"] = hashlib.sha256(content).hexdigest()
        (directory / "config.json").write_text(json.dumps(config))

    return forged


FORGERIES = {
    "a column less": (lambda c: c["columns"]["y"].pop(), "the scales must"),
    "a series more": (lambda c: c["series"].append(["z"]), "the scales must"),
    "other quantiles": (lambda c: c["parameters"].update(quantiles=[0.3]), "the parameters must"),
    "other lengths": (
        lambda c: c["parameters"].update(input_chunk_length=9),
        "the parameters must",
    ),
    "no columns": (lambda c: c.pop("columns"), "is damaged"),
    "a wide network": (lambda c: c["network"]["arguments"].update(d_model=2**22), "must be"),
    "unknown parameter": (lambda c: c["parameters"].update(width=1), "width"),
}


@pytest.mark.parametrize(("change", "message"), FORGERIES.values(), ids=FORGERIES)
def test_a_forged_directory_is_refused(tmp_path, change, message):
    make().fit(noise(), fh=[1]).save_pretrained(tmp_path / "model")
    forge(change)(tmp_path / "model")
    with pytest.raises(ValueError, match=message):
        InformerForecaster.from_pretrained(tmp_path / "model")


def test_a_file_does_not_decide_how_this_machine_trains(tmp_path):
    make().fit(noise(), fh=[1]).save_pretrained(tmp_path / "model")
    forge(lambda c: c["parameters"].update(pl_trainer_kwargs={"accelerator": "gpu"}))(
        tmp_path / "model"
    )
    assert InformerForecaster.from_pretrained(tmp_path / "model").pl_trainer_kwargs is None
