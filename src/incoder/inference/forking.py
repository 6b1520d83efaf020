"""Whether this process may compute: threads do not survive a fork.

Loading a model starts the thread pools of PyTorch and Numba. A forked child has their locks without their
threads: it waits for ever, or Numba ends it, even where both are told to use one thread. The process is what
is forked, so it is remembered here, and not by a model.
"""

import os

from incoder.errors import IncoderError

_computing_process: int | None = None


def check_process() -> None:
    """Note that this process computes from now on.

    Raises:
        IncoderError: it was forked from one that had begun to.
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
