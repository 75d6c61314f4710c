"""A training reports what Darts' models report, and nothing of ours on top."""

from __future__ import annotations

import logging
import re
import warnings

import pytest
from darts.models import TransformerModel

from informer_forecaster import InformerModel


@pytest.fixture
def reports(caplog, capsys):
    """Collect the log records, warnings and lines of a call, without their numbers."""

    def collect(call):
        caplog.clear()
        logging.disable(logging.NOTSET)
        try:
            with caplog.at_level(logging.INFO), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                call()
        finally:
            logging.disable(logging.INFO)
        said = [record.getMessage() for record in caplog.records]
        said += [str(one.message) for one in caught]
        said += "".join(capsys.readouterr()).replace("\r", "\n").splitlines()
        return {re.sub(r"[\d.]+", "0", line).strip() for line in said}

    return collect


@pytest.mark.parametrize("validates", [False, True])
def test_a_training_reports_what_one_of_darts_does(tiny_model, waves, reports, validates):
    given = {"val_series": waves(seed=1)} if validates else {}
    options = {"nhead": 2, "dim_feedforward": 8, "add_encoders": {"cyclic": {"future": ["hour"]}}}

    def train(cls):
        model = tiny_model(cls=cls, **options)
        return lambda: model.fit(waves(), **given).predict(4)

    theirs = reports(train(TransformerModel))
    assert reports(train(InformerModel)) - theirs == set()
