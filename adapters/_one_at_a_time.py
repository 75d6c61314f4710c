"""Private: one call at a time, as Darts, Lightning and torch's generator keep state for all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

# One for all models: two of them would still share the generator of random numbers.
_lock = threading.RLock()


def one_at_a_time(method: Method) -> Method:
    """Let a method wait until no other thread is in one of those that are wrapped here.

    A wrapped method may call others. Processes do not wait for each other.

    Examples
    --------
    >>> from informer_forecaster.adapters._one_at_a_time import one_at_a_time
    >>> one_at_a_time(len)([1, 2])
    2
    """

    @wraps(method)
    def waiting(*args: Any, **kwargs: Any) -> Any:
        with alone():
            return method(*args, **kwargs)

    return waiting  # type: ignore[return-value]


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other thread is in here, or in a wrapped method."""
    with _lock:
        yield


def _renew() -> None:
    """A child has none of the threads that may have held the lock when it was forked."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
