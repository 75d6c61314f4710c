"""Private: an object that several threads share works for one of them at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)

_locks: dict[int, threading.RLock] = {}
_making = threading.Lock()


def one_at_a_time(*names: str) -> Callable[[Class], Class]:
    """Let calls of these methods wait until no other thread is in one of the same object.

    Darts and sktime keep trainer, horizon and covariates of a call on the model: a second thread
    would get the forecast of the first. Calls of other models do not wait. A method that a base
    class has too keeps the signature and the documentation that it has there.

    Examples
    --------
    >>> from informer_forecaster._threads import one_at_a_time
    >>> @one_at_a_time("add")
    ... class Counter:
    ...     count = 0
    ...
    ...     def add(self):
    ...         self.count += 1
    ...         return self.count
    >>> Counter().add()
    1
    """

    def guard(cls: Class) -> Class:
        for name in names:
            setattr(cls, name, _waiting(cls, name))
        return cls

    return guard


def _waiting(cls: type, name: str) -> Callable[..., Any]:
    own = vars(cls).get(name)
    described: Any = getattr(super(cls, cls), name, own)

    @wraps(described)
    def method(owner: object, *args: object, **kwargs: object) -> object:
        # Looked up anew, as a subclass may bring classes of its own between this one and the base.
        call = own.__get__(owner) if own else getattr(super(cls, owner), name)
        with _lock_of(owner):
            return call(*args, **kwargs)

    return method


def _lock_of(owner: object) -> threading.RLock:
    """The lock of an object; not an attribute of it, as it can be neither copied nor pickled."""
    with _making:
        if id(owner) not in _locks:
            _locks[id(owner)] = threading.RLock()
            weakref.finalize(owner, _locks.pop, id(owner), None)
        return _locks[id(owner)]
