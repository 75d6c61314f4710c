"""Training windows from an Arrow file that need not fit into memory: ``ArrowTrainingDataset``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from darts.utils.data.torch_datasets.training_dataset import TorchTrainingDataset
from darts.utils.data.torch_datasets.utils import TorchTrainingSample

from informer_forecaster._network.config import check_integer

from .arrow_files import FilePath, column_names


class ArrowTrainingDataset(TorchTrainingDataset):
    """Training windows for ``InformerModel.fit_from_dataset``, read from a memory-mapped file.

    The file is in the Arrow IPC format, without compression, with one record batch for each series,
    as :func:`~informer_forecaster.adapters.arrow_files.write_arrow` and
    :func:`~informer_forecaster.adapters.arrow_files.parquet_to_arrow` write it. Opening reads the
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
        If the file is no Arrow file, lacks a column, a column does not hold floats of one width or
        has missing values, a series is shorter than a window, or a number is outside its range.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> import pandas as pd
    >>> from informer_forecaster.adapters.arrow_dataset import ArrowTrainingDataset
    >>> from informer_forecaster.adapters.arrow_files import write_arrow
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

    def _open(self) -> Any:
        """Map the file into memory, with the columns that are used."""
        try:
            with pa.memory_map(self._path) as file:
                schema = pa.ipc.open_file(file).schema
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"`path` must be a file in the Arrow IPC format; got {self._path}. Write it with "
                "`write_arrow` or `parquet_to_arrow`."
            ) from error
        wanted = [(role, name) for role, names in self._columns.items() for name in names]
        for role, name in wanted:
            if name not in schema.names:
                raise ValueError(
                    f"`{role}` must name columns of the file, {schema.names}; got {name!r}."
                )
        types = {name: schema.field(name).type for _, name in wanted}
        if len(set(types.values())) > 1 or not {pa.float32(), pa.float64()} & set(types.values()):
            raise ValueError(
                "the columns must all hold 32-bit or all 64-bit floats; got "
                f"{ {name: str(kind) for name, kind in types.items()} }. Cast them before writing."
            )
        # Not with `included_fields`, which would copy whole series. A worker process is a fork, in
        # which the threads of a pool do not live on.
        options = pa.ipc.IpcReadOptions(use_threads=False)
        return pa.ipc.open_file(pa.memory_map(self._path), options=options)

    def _count_windows(self, largest: int | None) -> npt.NDArray[np.int64]:
        """Count the windows of each series, from the descriptions of the record batches alone."""
        counts = np.empty(self._file.num_record_batches, dtype=np.int64)
        if not len(counts):
            raise ValueError(f"`path` must hold at least one series; {self._path} holds none.")
        for position in range(len(counts)):
            batch = self._file.get_batch(position)
            if batch.num_rows < self._window:
                raise ValueError(
                    f"series {position} of the file must have at least {self._window} steps "
                    "(input_chunk_length + output_chunk_shift + output_chunk_length); got "
                    f"{batch.num_rows}. Leave it out when writing, or choose shorter chunks."
                )
            used = {name for names in self._columns.values() for name in names}
            missing = sorted(name for name in used if batch.column(name).null_count)
            if missing:
                raise ValueError(
                    f"series {position} of the file must have no missing values; {missing[0]!r} "
                    "has some. Fill them before writing."
                )
            counts[position] = (batch.num_rows - self._window) // self._stride + 1
        return counts if largest is None else np.minimum(counts, largest)

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
        batch = self._file.get_batch(series)
        end = batch.num_rows - back * self._stride
        start = end - self._window
        past, future = slice(start, start + self._input), slice(end - self._output, end)
        values = {
            name: self._values(batch, columns, steps)
            for name, columns, steps in (
                ("past_target", "target", past),
                ("future_target", "target", future),
                ("past_covariates", "past_covariates", past),
                ("historic_future_covariates", "future_covariates", past),
                ("future_covariates", "future_covariates", future),
                ("static_covariates", "static_covariates", slice(0, 1)),
            )
        }
        return TorchTrainingSample(**values)

    def _values(self, batch: Any, role: str, steps: slice) -> npt.NDArray[Any] | None:
        """Copy some steps of the columns of a role, ``(steps, columns)``; None without columns."""
        names = self._columns[role]
        if not names:
            return None
        return np.stack([batch.column(name).to_numpy()[steps] for name in names], axis=1)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open file, which no other process can use."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the file in the process that this copy went to."""
        self.__dict__.update(state)
        self._file = self._open()
