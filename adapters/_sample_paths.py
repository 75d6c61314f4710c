"""Private: `random_state` fixes the paths that Darts draws from series with several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def numpy_seeded_as_torch() -> Iterator[None]:
    """Let numpy's generator for all begin where torch's did, and put it back afterwards.

    Darts draws a path of each series with several from it, and seeds torch's alone.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from informer_forecaster.adapters._sample_paths import numpy_seeded_as_torch
    >>> drawn = []
    >>> for _ in range(2):
    ...     _ = torch.manual_seed(0)
    ...     with numpy_seeded_as_torch():
    ...         drawn.append(int(np.random.randint(100)))
    >>> drawn[0] == drawn[1]
    True
    """
    # NumPy's old generator, as it is the one that Darts draws from.
    state = np.random.get_state()  # noqa: NPY002
    np.random.seed(torch.initial_seed() % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002
