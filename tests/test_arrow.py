"""Training from an Arrow file: the windows of Darts' own data set, and refusals before work."""

from __future__ import annotations

import contextlib
import os
import pickle
from dataclasses import fields

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from darts.utils.data.torch_datasets.training_dataset import SequentialTorchTrainingDataset
from torch.utils.data import DataLoader

from informer_forecaster.adapters.arrow import ArrowTrainingDataset, parquet_to_arrow, write_arrow

LENGTHS = (8, 4)
COVARIATES = {"past_covariates": ["p"], "future_covariates": ["f", "g"]}


def table(length=20, seed=0, dtype=np.float64):
    values = np.random.default_rng(seed).normal(size=(length, 5))
    return pd.DataFrame(values, columns=[*"abpfg"]).astype(dtype)


def equal(one, other):
    pairs = [(getattr(one, each.name), getattr(other, each.name)) for each in fields(one)]
    return all((a is None and b is None) or np.array_equal(a, b) for a, b in pairs)


@pytest.fixture
def path(tmp_path):
    write_arrow(tmp_path / "two.arrow", (table(seed=seed) for seed in range(2)))
    return tmp_path / "two.arrow"


@pytest.mark.parametrize(
    "settings",
    [{}, {"stride": 3}, {"max_samples_per_ts": 4}, {"output_chunk_shift": 2}],
    ids=str,
)
def test_windows_are_those_of_darts(path, settings):
    from darts import TimeSeries

    def series(columns):
        return [TimeSeries.from_dataframe(table(seed=seed)[columns]) for seed in range(2)]

    ours = ArrowTrainingDataset(path, *LENGTHS, target=["a", "b"], **COVARIATES, **settings)
    theirs = SequentialTorchTrainingDataset(
        series(["a", "b"]),
        **{name: series(columns) for name, columns in COVARIATES.items()},
        input_chunk_length=LENGTHS[0],
        output_chunk_length=LENGTHS[1],
        **settings,
    )
    assert len(ours) == len(theirs)
    assert all(equal(ours[index], theirs[index]) for index in range(len(ours)))
    assert equal(ours[-1], ours[len(ours) - 1])
    with pytest.raises(IndexError):
        ours[len(ours)]


def test_a_window_copies_nothing_but_itself(path):
    dataset = ArrowTrainingDataset(path, *LENGTHS, target=["a"])
    before = pa.total_allocated_bytes()
    for index in range(len(dataset)):
        sample = dataset[index]
        # What Arrow would allocate for a copy of the series.
        assert pa.total_allocated_bytes() == before
        assert sample.past_target.base is None


def test_each_window_comes_once(tmp_path):
    lengths = (12, 30, 17)
    write_arrow(
        tmp_path / "f.arrow",
        (pd.DataFrame({"a": np.arange(n) + 100.0 * i}) for i, n in enumerate(lengths)),
    )
    dataset = ArrowTrainingDataset(tmp_path / "f.arrow", *LENGTHS, target=["a"])
    starts = {float(sample.past_target[0, 0]) for sample in map(dataset.__getitem__, range(26))}
    expected = {100.0 * i + k for i, n in enumerate(lengths) for k in range(n - 11)}
    assert len(dataset) == 26
    assert starts == expected


def test_training_is_that_of_darts_in_memory(tiny_model, waves, tmp_path):
    """Equal seeds draw equal windows, so the weights are the same to the last bit."""
    series = [waves(seed=seed, dtype=np.float32) for seed in range(3)]
    write_arrow(tmp_path / "waves.arrow", (one.to_dataframe() for one in series))
    ours = ArrowTrainingDataset(tmp_path / "waves.arrow", *LENGTHS, target=["wave_0"])
    theirs = SequentialTorchTrainingDataset(series, input_chunk_length=8, output_chunk_length=4)
    states = [tiny_model().fit_from_dataset(each).model.state_dict() for each in (ours, theirs)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_forecasts_follow_with_every_kind_of_covariate(tiny_model, waves, tmp_path):
    static = pd.DataFrame({"size": [2.0]})
    series, known = waves(static=static), waves(60, 2)
    frame = series.to_dataframe().assign(
        size=2.0, **{name: known[name].values()[:40, 0] for name in known.components[1:]}
    )
    write_arrow(tmp_path / "one.arrow", [frame])
    dataset = ArrowTrainingDataset(
        tmp_path / "one.arrow",
        *LENGTHS,
        target=["wave_0"],
        future_covariates=["wave_1"],
        static_covariates=["size"],
    )
    model = tiny_model(time_features=False).fit_from_dataset(dataset)
    config = model.model.network.config
    assert (config.num_future_covariates, config.num_static_covariates) == (1, 1)
    forecast = model.predict(6, series, future_covariates=known["wave_1"])
    assert np.isfinite(forecast.values()).all()


def test_workers_of_their_own_read_the_same(path):
    dataset = ArrowTrainingDataset(path, *LENGTHS, target=["a"])
    assert equal(pickle.loads(pickle.dumps(dataset))[3], dataset[3])
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    batches = [sample.past_target for sample in loader]
    assert np.array_equal(batches, [dataset[index].past_target for index in range(len(dataset))])


def test_a_parquet_file_is_split_by_its_series(tmp_path, monkeypatch):
    # Blocks of 7 rows: series of 20 begin and end within them.
    monkeypatch.setattr("informer_forecaster.adapters.arrow.ROWS_READ_AT_ONCE", 7)
    long = pd.concat([table(seed=seed).assign(shop=str(seed)) for seed in range(3)])
    long["day"] = [*pd.date_range("2024-01-01", periods=20)] * 3
    long.to_parquet(tmp_path / "long.parquet")
    parquet_to_arrow(
        tmp_path / "long.parquet", tmp_path / "new", series="shop", time="day", columns=[*"abpfg"]
    )
    with pa.ipc.open_file(tmp_path / "new") as file:
        found = [file.get_batch(i).to_pandas() for i in range(file.num_record_batches)]
    assert len(found) == 3
    for seed, one in enumerate(found):
        pd.testing.assert_frame_equal(one, table(seed=seed))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda long: long.iloc[::-1], "in order of 'day'"),
        (lambda long: pd.concat([long, long.iloc[:3]]), "'a' must lie together"),
        (lambda long: long.assign(day=1), "one for each time"),
        (lambda long: long.assign(shop=None), "'shop' must name the series"),
        (lambda long: long.drop(columns="sold"), "must have a column 'sold'"),
        (lambda long: long.assign(sold=1), "must hold 32-bit or 64-bit floats; got int64"),
        (lambda long: long.iloc[:0], "at least one series"),
    ],
)
def test_a_parquet_file_is_refused(tmp_path, change, message):
    long = pd.DataFrame({"shop": [*"aaabbb"], "day": [0, 1, 2] * 2, "sold": 1.0})
    change(long).to_parquet(tmp_path / "long.parquet")
    with pytest.raises(ValueError, match=message):
        parquet_to_arrow(
            tmp_path / "long.parquet",
            tmp_path / "new.arrow",
            series="shop",
            time="day",
            columns=["sold"],
        )
    assert not list(tmp_path.glob("new.arrow*"))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (table().assign(a=np.nan), "'a' is nan at step 0"),
        (table().assign(b=[0.0] * 19 + [np.inf]), "'b' is inf at step 19"),
        (table().assign(b=1e300), "magnitude up to 1e"),
        (table(dtype=np.float32), "columns of the first"),
        (table()[["a"]], "columns of the first"),
    ],
)
def test_a_series_is_refused_and_the_old_file_stays(path, second, message):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"series 1 must h.*{message}"):
        write_arrow(path, [table(), second])
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "a"}, "`target` must be a sequence"),
        ({"target": []}, "`target` must name at least one"),
        ({"target": ["z"]}, "`target` must name columns of the file.*'z'"),
        ({"past_covariates": ["z"]}, "`past_covariates` must name"),
        ({"stride": 0}, "`stride`"),
        ({"max_samples_per_ts": 0}, "`max_samples_per_ts`"),
        ({"output_chunk_shift": 9}, "series 0 of the file must have at least 21 steps"),
    ],
)
def test_arguments_are_refused(path, settings, message):
    with pytest.raises(ValueError, match=message):
        ArrowTrainingDataset(path, *LENGTHS, **{"target": ["a"], **settings})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": pa.array([1.0, None] * 10)}, "no missing values; 'a'"),
        ({"a": pa.array([1] * 20)}, "32-bit or all 64-bit"),
        ({"a": pa.array([1.0] * 20), "p": pa.array([1.0] * 20, pa.float32())}, "32-bit or all"),
    ],
)
def test_files_that_others_wrote_are_checked(tmp_path, columns, message):
    batch = pa.record_batch(columns)
    with pa.ipc.new_file(str(tmp_path / "theirs"), batch.schema) as writer:
        writer.write_batch(batch)
    covariates = [name for name in columns if name == "p"]
    with pytest.raises(ValueError, match=message):
        ArrowTrainingDataset(
            tmp_path / "theirs", *LENGTHS, target=["a"], past_covariates=covariates
        )


def read_all(path):
    dataset = ArrowTrainingDataset(path, *LENGTHS, target=["a"], past_covariates=["b"])
    return [dataset[index] for index in range(len(dataset))]


def test_a_row_count_that_was_changed_is_refused_when_the_file_is_opened(tmp_path):
    """Arrow itself would read what lies in memory after the file."""
    rows = 41
    write_arrow(tmp_path / "f.arrow", [pd.DataFrame({"a": np.arange(float(rows))})])
    whole = (tmp_path / "f.arrow").read_bytes()
    forged = whole.replace(rows.to_bytes(8, "little"), (1000).to_bytes(8, "little"))
    assert forged != whole
    (tmp_path / "f.arrow").write_bytes(forged)
    with pytest.raises(ValueError, match="must be a whole Arrow file; series 0"):
        ArrowTrainingDataset(tmp_path / "f.arrow", *LENGTHS, target=["a"])


def count_survived(folder, seeds):
    """Change eight bytes of a file at a time, and count until the process ends that reads it."""
    write_arrow(folder / "f.arrow", (table(20 + 7 * i, seed=i)[["a", "b"]] for i in range(3)))
    whole = (folder / "f.arrow").read_bytes()
    child = os.fork()
    if child == 0:
        survived = 0
        try:
            for seed in seeds:
                rng, content = np.random.default_rng(seed), bytearray(whole)
                start = int(rng.integers(len(whole) // 8)) * 8
                number = [2**63 - 1, 2**64 - 1, 2**40, 2**31, 1000][seed % 5]
                content[start : start + 8] = number.to_bytes(8, "little")
                (folder / "g.arrow").write_bytes(content)
                with contextlib.suppress(ValueError):
                    read_all(folder / "g.arrow")
                survived += 1
        finally:
            (folder / "survived").write_text(str(survived))
            os._exit(0)
    os.waitpid(child, 0)
    return int((folder / "survived").read_text()) if (folder / "survived").exists() else 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="what may crash does so in a fork")
def test_a_forged_file_is_read_or_refused(tmp_path):
    """Counts, offsets and types of another size: none may end the process."""
    assert count_survived(tmp_path, range(300)) == 300


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="what may crash does so in a fork")
def test_many_forged_files_are_read_or_refused(tmp_path, record_cases):
    count = count_survived(tmp_path, range(1000, 3000))
    assert count == 2000
    record_cases("numbers forged in an Arrow file", 2000, count, "pytest tests/test_arrow.py")


def test_a_window_that_is_not_finite_is_refused(tmp_path):
    batch = pa.record_batch({"a": np.r_[np.zeros(19), np.nan], "b": np.zeros(20)})
    with pa.ipc.new_file(str(tmp_path / "theirs"), batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(ValueError, match="must hold finite values"):
        read_all(tmp_path / "theirs")


def test_a_planted_link_is_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "data"
    folder.mkdir()
    for name in (".f.arrow.new", "f.arrow", "f.arrow.unfinished"):
        (folder / name).symlink_to(victim)
    write_arrow(folder / "f.arrow", [table()])
    assert victim.read_text() == "mine"
    assert not (folder / "f.arrow").is_symlink()


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ""])
def test_what_is_no_arrow_file_is_refused(tmp_path, text):
    (tmp_path / "text").write_text(text)
    with pytest.raises(ValueError, match="`path` must be a file in the Arrow IPC format"):
        ArrowTrainingDataset(tmp_path / "text", *LENGTHS, target=["a"])
    with pytest.raises(ValueError, match="at least one series"):
        write_arrow(tmp_path / "none", [])
