"""Training data larger than memory: an Arrow file is written, and its windows are read.

A file in the Arrow IPC format holds one series after another, a record batch each.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from darts.utils.data.torch_datasets.training_dataset import TorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchTrainingSample

from informer_forecaster._network.config import LARGEST_VALUE, check_integer

from ._files import FilePath, beside

ROWS_READ_AT_ONCE = 65_536


def column_names(argument: str, names: Sequence[str]) -> list[str]:
    """List the names of columns; a bare string would be taken for its letters."""
    if isinstance(names, str):
        raise ValueError(f"`{argument}` must be a sequence of column names; got {names!r}.")
    return list(names)


def write_arrow(path: FilePath, tables: Iterable[pd.DataFrame]) -> None:
    """Write one series after another, so that only one at a time is in memory.

    Parameters
    ----------
    path : str or os.PathLike
        The file to write.
    tables : iterable of pandas.DataFrame
        A series each: steps in order and evenly spaced, the same float columns of one width.

    Raises
    ------
    ValueError
        If there is no table, or one has other columns than the first, no floats of that width, or
        values that are not finite or too large to train on. No file is written then.

    Examples
    --------
    See :class:`~informer_forecaster.adapters.arrow.ArrowTrainingDataset`.
    """
    _write(path, (pa.RecordBatch.from_pandas(one, preserve_index=False) for one in tables))


def parquet_to_arrow(
    parquet: FilePath, path: FilePath, *, series: str, time: str, columns: Sequence[str]
) -> None:
    """Write the series of a Parquet file, in long form, to an Arrow file.

    A Parquet file is packed in blocks, of which a random window would unpack a whole one. This
    reads it once, from start to end, and holds one series at a time.

    Parameters
    ----------
    parquet : str or os.PathLike
        The file to read; its rows are sorted by series, then by time.
    path : str or os.PathLike
        The file to write.
    series, time : str
        The columns that tell the series and the time of a row.
    columns : sequence of str
        The float columns to write.

    Raises
    ------
    ValueError
        If the file lacks a column, its rows are not sorted, or `write_arrow` refuses a value.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from informer_forecaster.adapters.arrow import ArrowTrainingDataset, parquet_to_arrow
    >>> table = pd.DataFrame(
    ...     {"shop": ["a"] * 6 + ["b"] * 6, "day": [*range(6), *range(6)], "sold": 1.0}
    ... )
    >>> with TemporaryDirectory() as directory:
    ...     table.to_parquet(f"{directory}/shops.parquet")
    ...     parquet_to_arrow(
    ...         f"{directory}/shops.parquet",
    ...         f"{directory}/shops.arrow",
    ...         series="shop",
    ...         time="day",
    ...         columns=["sold"],
    ...     )
    ...     len(ArrowTrainingDataset(f"{directory}/shops.arrow", 3, 2, target=["sold"]))
    4
    """
    with pq.ParquetFile(parquet, memory_map=True) as file:
        wanted = [series, time, *column_names("columns", columns)]
        for name in wanted:
            if name not in file.schema_arrow.names:
                raise ValueError(
                    f"the Parquet file must have a column {name!r}; it has "
                    f"{file.schema_arrow.names}."
                )
        _write(path, (one.select(wanted[2:]) for one in _split(file, wanted, series, time)))


def _split(
    file: pq.ParquetFile, wanted: list[str], series: str, time: str
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of one series after another."""
    seen: set[object] = set()
    current: object = None
    parts: list[pa.RecordBatch] = []
    for batch in file.iter_batches(ROWS_READ_AT_ONCE, columns=wanted):
        names = batch.column(series).to_pandas()
        if names.isna().any():
            raise ValueError(f"column {series!r} must name the series of each row; some are empty.")
        starts = np.flatnonzero(names.ne(names.shift()).to_numpy())
        for start, end in zip(starts, [*starts[1:], len(names)], strict=True):
            name = names[start]
            if parts and name != current:
                yield _joined(parts, current, time)
                parts = []
            if not parts and name in seen:
                raise ValueError(f"the rows of series {name!r} must lie together: sort the file.")
            current = name
            seen.add(name)
            parts.append(batch.slice(start, end - start))
    if parts:
        yield _joined(parts, current, time)


def _joined(parts: list[pa.RecordBatch], name: object, time: str) -> pa.RecordBatch:
    """Join the rows of a series, whose times must increase."""
    joined = pa.concat_batches(parts)
    times = joined.column(time).to_pandas()
    if not (times.is_monotonic_increasing and times.is_unique):
        raise ValueError(
            f"the rows of series {name!r} must be in order of {time!r}, one for each time: sort "
            "the file."
        )
    return joined


def _write(path: FilePath, batches: Iterable[pa.RecordBatch]) -> None:
    """Write a record batch for each series; no file if one is refused."""
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise ValueError("there must be at least one series to write; got none.")
    schema = first.schema.remove_metadata()
    # Under another name until it is whole: an older file stays if a series is refused.
    unfinished = beside(path)
    unfinished.unlink(missing_ok=True)
    try:
        # Not by Arrow's own file, which would follow a link of that name.
        with unfinished.open("xb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for position, batch in enumerate(chain([first], batches)):
                _check_series(position, batch, schema)
                writer.write_batch(batch)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_series(position: int, batch: pa.RecordBatch, schema: pa.Schema) -> None:
    """Raise unless a series has the columns of the first and values that can be trained on."""
    if batch.schema.remove_metadata() != schema:
        raise ValueError(
            f"series {position} must have the columns of the first, {_kinds(schema)}; got "
            f"{_kinds(batch.schema)}."
        )
    for field in schema:
        if field.type not in (pa.float32(), pa.float64()):
            raise ValueError(
                f"column {field.name!r} must hold 32-bit or 64-bit floats; got {field.type}."
            )
        values = batch.column(field.name).to_numpy(zero_copy_only=False)
        largest = LARGEST_VALUE[64 if field.type == pa.float64() else 32]
        fits = np.abs(values) <= largest
        if not fits.all():
            step = int(np.argmin(fits))
            raise ValueError(
                f"series {position} must hold finite values of a magnitude up to {largest:.0e}; "
                f"column {field.name!r} is {values[step]} at step {step}. Fill gaps and scale "
                "first."
            )


def _kinds(schema: pa.Schema) -> dict[str, str]:
    """Name the type of each column."""
    return {field.name: str(field.type) for field in schema}


class ArrowTrainingDataset(TorchTrainingDataset):
    """Training windows for ``InformerModel.fit_from_dataset``, read from a memory-mapped file.

    The file is in the Arrow IPC format, without compression, with one record batch for each series,
    as :func:`~informer_forecaster.adapters.arrow.write_arrow` and
    :func:`~informer_forecaster.adapters.arrow.parquet_to_arrow` write it. Opening reads the
    number of steps of each series, a window reads its own steps, and the operating system drops
    what it needs the memory for. Windows of a series count from its end, as in Darts' own data
    sets; unlike there, each window of a longer series comes exactly once.

    No calendar features are added, as a data set brings no time index to Darts: write them as
    columns and name them among `future_covariates`.

    Parameters
    ----------
    path : str or os.PathLike
        The Arrow file.
    input_chunk_length, output_chunk_length : int
        Look-back L and horizon H of the model.
    target : sequence of str
        The C columns to forecast.
    past_covariates, future_covariates : sequence of str
        X columns known up to the forecast origin, F columns known over the horizon too.
    static_covariates : sequence of str
        S columns of which the first step's value holds for the whole series.
    output_chunk_shift : int
        Steps between look-back and horizon.
    stride : int
        Steps between two windows.
    max_samples_per_ts : int, optional
        Largest number of windows of a series, its latest ones; all by default.

    Raises
    ------
    ValueError
        If the file is no Arrow file, is damaged or lacks a column, a column does not hold floats of
        one width or has missing values, a series is shorter than a window, or a number is outside
        its range. A window with a value that is not finite is refused when it is read.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import pandas as pd
    >>> from informer_forecaster.adapters.arrow import ArrowTrainingDataset, write_arrow
    >>> tables = (pd.DataFrame({"load": np.arange(40.0) + shop}) for shop in range(3))
    >>> with TemporaryDirectory() as directory:
    ...     write_arrow(f"{directory}/shops.arrow", tables)
    ...     windows = ArrowTrainingDataset(f"{directory}/shops.arrow", 24, 12, target=["load"])
    ...     print(len(windows), windows[0].past_target.shape, windows[0].future_target[-1])
    15 (24, 1) [39.]
    """

    def __init__(
        self,
        path: FilePath,
        input_chunk_length: int,
        output_chunk_length: int,
        *,
        target: Sequence[str],
        past_covariates: Sequence[str] = (),
        future_covariates: Sequence[str] = (),
        static_covariates: Sequence[str] = (),
        output_chunk_shift: int = 0,
        stride: int = 1,
        max_samples_per_ts: int | None = None,
    ) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._input = check_integer("input_chunk_length", input_chunk_length, 1)
        self._output = check_integer("output_chunk_length", output_chunk_length, 1)
        shift = check_integer("output_chunk_shift", output_chunk_shift, 0)
        self._window = self._input + shift + self._output
        self._stride = check_integer("stride", stride, 1)
        if max_samples_per_ts is not None:
            max_samples_per_ts = check_integer("max_samples_per_ts", max_samples_per_ts, 1)
        self._columns = {
            "target": column_names("target", target),
            "past_covariates": column_names("past_covariates", past_covariates),
            "future_covariates": column_names("future_covariates", future_covariates),
            "static_covariates": column_names("static_covariates", static_covariates),
        }
        if not self._columns["target"]:
            raise ValueError("`target` must name at least one column; got none.")
        self._file = self._open()
        windows = self._count_windows(max_samples_per_ts)
        # Of each series, the number of windows up to its last.
        self._ends = np.cumsum(windows)

    def _open(self) -> pa.ipc.RecordBatchFileReader:
        """Map the file into memory, with the columns that are used."""
        # Threads do not live on in a fork; `included_fields` would copy whole series.
        options = pa.ipc.IpcReadOptions(use_threads=False)
        try:
            file = pa.ipc.open_file(pa.memory_map(self._path), options=options)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"`path` must be a file in the Arrow IPC format; got {self._path}. Write it with "
                "`write_arrow` or `parquet_to_arrow`."
            ) from error
        wanted = [(role, name) for role, names in self._columns.items() for name in names]
        for role, name in wanted:
            if name not in file.schema.names:
                raise ValueError(
                    f"`{role}` must name columns of the file, {file.schema.names}; got {name!r}."
                )
        types = {name: file.schema.field(name).type for _, name in wanted}
        if len(set(types.values())) > 1 or not {pa.float32(), pa.float64()} & set(types.values()):
            raise ValueError(
                "the columns must all hold 32-bit or all 64-bit floats; got "
                f"{ {name: str(kind) for name, kind in types.items()} }. Cast them before writing."
            )
        return file

    def _count_windows(self, largest: int | None) -> npt.NDArray[np.int64]:
        """Count the windows of each series, from the descriptions of the record batches alone."""
        counts = np.empty(self._file.num_record_batches, dtype=np.int64)
        if not len(counts):
            raise ValueError(f"`path` must hold at least one series; {self._path} holds none.")
        for position in range(len(counts)):
            batch = self._batch(position)
            if batch.num_rows < self._window:
                raise ValueError(
                    f"series {position} of the file must have at least {self._window} steps "
                    "(input_chunk_length + output_chunk_shift + output_chunk_length); got "
                    f"{batch.num_rows}. Leave it out when writing, or choose shorter chunks."
                )
            used = sorted({name for names in self._columns.values() for name in names})
            missing = [name for name in used if batch.column(name).null_count]
            if missing:
                raise ValueError(
                    f"series {position} of the file must have no missing values; {missing[0]!r} "
                    "has some. Fill them before writing."
                )
            counts[position] = (batch.num_rows - self._window) // self._stride + 1
        return counts if largest is None else np.minimum(counts, largest)

    def _batch(self, position: int) -> pa.RecordBatch:
        """Get a series whose columns are as long as the file says: it may be forged or damaged."""
        try:
            batch = self._file.get_batch(position)
            batch.validate()
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"`path` must be a whole Arrow file; series {position} of {self._path} is damaged: "
                f"{error}. Write it again, or take another copy."
            ) from error
        return batch

    def __len__(self) -> int:
        """Count the windows of all series."""
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> TorchTrainingSample:
        """Read a window.

        Past target ``(L, C)``, past covariates ``(L, X)``, future covariates ``(L, F)`` and
        ``(H, F)``, static covariates ``(1, S)`` and future target ``(H, C)``.
        """
        index = range(len(self))[index]
        series = int(np.searchsorted(self._ends, index, side="right"))
        back = index - (int(self._ends[series - 1]) if series else 0)
        batch = self._batch(series)
        end = batch.num_rows - back * self._stride
        start = end - self._window
        past, future = slice(start, start + self._input), slice(end - self._output, end)
        return TorchTrainingSample(
            past_target=self._values(batch, "target", past),
            future_target=self._values(batch, "target", future),
            past_covariates=self._values(batch, "past_covariates", past),
            historic_future_covariates=self._values(batch, "future_covariates", past),
            future_covariates=self._values(batch, "future_covariates", future),
            static_covariates=self._values(batch, "static_covariates", slice(0, 1)),
        )

    def _values(
        self, batch: pa.RecordBatch, role: str, steps: slice
    ) -> npt.NDArray[np.floating] | None:
        """Copy some steps of the columns of a role, ``(steps, columns)``; None without columns."""
        names = self._columns[role]
        if not names:
            return None
        values = np.stack([batch.column(name).to_numpy()[steps] for name in names], axis=1)
        if not np.isfinite(values).all():
            raise ValueError(
                f"`path` must hold finite values; the columns {names} of {self._path} have others. "
                "Fill them before writing."
            )
        return values

    def __getstate__(self) -> dict[str, object]:
        """Leave out the open file, which no other process can use."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}

    def __setstate__(self, state: dict[str, object]) -> None:
        """Open the file in the process that this copy went to."""
        self.__dict__.update(state)
        self._file = self._open()
