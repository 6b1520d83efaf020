"""A check that this process was not forked from one that computes, because threads do not survive a fork.

Loading a model starts the thread pools of PyTorch and Numba. A forked child has their locks without their
threads: it hangs, or Numba ends it, even if both are set to one thread. The state belongs to the process, not
to a model, because a fork copies all models.
"""

import os

from incoder.errors import IncoderError

_computing_process: int | None = None


def check_process() -> None:
    """Record that this process computes from now on.

    Raises:
        IncoderError: the process was forked from one that had called this.

    >>> check_process()
    """
    global _computing_process
    if _computing_process is None:
        _computing_process = os.getpid()
    elif _computing_process != os.getpid():
        raise IncoderError(
            f"process {os.getpid()} was forked from process {_computing_process} after a model was loaded, "
            'and the threads that compute do not survive a fork; start it by "spawn" or "forkserver" '
            "(multiprocessing.get_context), or fork before a model is loaded"
        )
