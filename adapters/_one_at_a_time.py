"""Private: a model that several threads share works for one of them at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

_locks: dict[int, threading.RLock] = {}
_making = threading.Lock()


def one_at_a_time(method: Method) -> Method:
    """Let a method of an object, or class, wait until no other thread is in one of that object.

    Darts and sktime keep trainer, horizon and covariates of a call on the model: a second thread
    would get the forecast of the first. Calls of other models do not wait.

    Examples
    --------
    >>> from informer_forecaster.adapters._one_at_a_time import one_at_a_time
    >>> class Counter:
    ...     count = 0
    ...
    ...     @one_at_a_time
    ...     def add(self):
    ...         self.count += 1
    ...         return self.count
    >>> Counter().add()
    1
    """

    @wraps(method)
    def waiting(owner: object, *args: object, **kwargs: object) -> object:
        with _lock_of(owner):
            return method(owner, *args, **kwargs)

    return waiting  # type: ignore[return-value]


def _lock_of(owner: object) -> threading.RLock:
    """The lock of an object; not an attribute of it, as it can be neither copied nor pickled."""
    with _making:
        if id(owner) not in _locks:
            _locks[id(owner)] = threading.RLock()
            weakref.finalize(owner, _locks.pop, id(owner), None)
        return _locks[id(owner)]
