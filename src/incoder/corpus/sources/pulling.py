"""Turns code that calls back for each item into an iterator.

The calling code runs in a thread that is at most a few items ahead, which bounds memory. If the iterator is
closed, the thread stops at its next item.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar, cast

T = TypeVar("T")

_AHEAD = 2
_DONE = object()


class _Abandoned(Exception):  # noqa: N818 - no error: the iterator was closed
    pass


def pulled(push: Callable[[Callable[[T], None]], None]) -> Iterator[T]:
    """Yield the items that `push(emit)` emits; an exception of `push` is raised here, after these items.

    >>> list(pulled(lambda emit: [emit(1), emit(2)]))
    [1, 2]
    """
    items = queue.Queue[object](maxsize=_AHEAD)
    abandoned = threading.Event()
    failures = list[BaseException]()

    def emit(item: object) -> None:
        while not abandoned.is_set():
            try:
                items.put(item, timeout=0.1)
            except queue.Full:
                continue
            return
        raise _Abandoned

    def work() -> None:
        try:
            push(emit)
        except _Abandoned:
            return
        except BaseException as error:  # noqa: BLE001 - raised again on the other side
            failures.append(error)
        try:
            emit(_DONE)
        except _Abandoned:
            return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not _DONE:
            yield cast(T, item)
    finally:
        abandoned.set()
        thread.join()
    if failures:
        raise failures[0]
