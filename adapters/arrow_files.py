"""Arrow files that hold one series after another: ``write_arrow`` and ``parquet_to_arrow``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from informer_forecaster._network.config import LARGEST_VALUE

FilePath = str | os.PathLike[str]
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
    See :class:`~informer_forecaster.adapters.arrow_dataset.ArrowTrainingDataset`.
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
    >>> from informer_forecaster.adapters.arrow_dataset import ArrowTrainingDataset
    >>> from informer_forecaster.adapters.arrow_files import parquet_to_arrow
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


def _split(file: Any, wanted: list[str], series: str, time: str) -> Iterator[Any]:
    """Yield the rows of one series after another."""
    seen: set[Any] = set()
    current: Any = None
    parts: list[Any] = []
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


def _joined(parts: list[Any], name: Any, time: str) -> Any:
    """Join the rows of a series, whose times must increase."""
    joined = pa.concat_batches(parts)
    times = joined.column(time).to_pandas()
    if not (times.is_monotonic_increasing and times.is_unique):
        raise ValueError(
            f"the rows of series {name!r} must be in order of {time!r}, one for each time: sort "
            "the file."
        )
    return joined


def _write(path: FilePath, batches: Iterable[Any]) -> None:
    """Write a record batch for each series; no file if one is refused."""
    batches = iter(batches)
    first = next(batches, None)
    if first is None:
        raise ValueError("there must be at least one series to write; got none.")
    schema = first.schema.remove_metadata()
    # Under another name until it is whole: an older file stays if a series is refused.
    unfinished = Path(f"{os.fspath(path)}.unfinished")
    try:
        with pa.OSFile(str(unfinished), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for position, batch in enumerate(chain([first], batches)):
                _check_series(position, batch, schema)
                writer.write_batch(batch)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_series(position: int, batch: Any, schema: Any) -> None:
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


def _kinds(schema: Any) -> dict[str, str]:
    """Name the type of each column."""
    return {field.name: str(field.type) for field in schema}
