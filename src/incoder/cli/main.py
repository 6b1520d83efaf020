"""The `incoder` command: runs the commands, and reports errors without a traceback.

The commands are imported in a function, so that Ctrl-C during the imports is handled, too.
"""

import errno
import os
import signal
import sys

_OF_STREAMS = (errno.ENOSPC, errno.EBADF)  # a stream on a full disk, or one that was closed


def main() -> None:
    """Run the command line: exit status 0 done, 1 failed, 2 bad usage, 130 interrupted."""
    # OpenMP's waiting threads spin, which on a busy machine takes time from the threads that work: during a
    # training run on two cores, 450 tokens were read in 2.3 s, and in 0.14 s without spinning. PyTorch reads
    # the variable when it is imported, so now is early enough.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        _run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends the process at once
        sys.exit(130)


def _run() -> None:
    from incoder.cli.commands import command_line
    from incoder.cli.console import print_error
    from incoder.cli.streams import drop_the_rest, open_closed_streams
    from incoder.errors import IncoderError

    open_closed_streams()
    try:
        command_line()(prog_name="incoder")
    except IncoderError as error:
        print_error(str(error))
        sys.exit(1)
    except OSError as error:
        # A path that no command checks for, such as one that is too long; or `--help > /dev/full`.
        if error.filename is not None:
            what = error.filename
        elif error.errno in _OF_STREAMS:
            what = "standard output"
        elif error.errno == errno.ENOENT and not _has_current_folder():
            what = "the current folder is gone; change into another one"
        else:
            raise
        drop_the_rest(sys.stdout)
        print_error(f"{what}: {error.strerror}")
        sys.exit(1)


def _has_current_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - only for its error
    except FileNotFoundError:
        return False
    return True
