"""A process for the tests of the launcher: does what its second argument says, in the folder of the first."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from incoder.errors import IncoderError
from incoder.training.process_error import INTERRUPTED, VARIABLE, leave_error

output, behaviour = Path(sys.argv[1]), sys.argv[2]
rank = int(os.environ["RANK"])
restart = int(os.environ["TORCHELASTIC_RESTART_COUNT"])
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())
signal.signal(signal.SIGTERM, lambda *_: stop.set())
(output / f"started-{rank}-{restart}").write_text(os.environ["MASTER_PORT"])


def fail(error: Exception, *, is_lost: bool = False) -> None:
    leave_error(Path(os.environ[VARIABLE]), error, is_lost=is_lost)
    sys.exit(1)


def checkpoint(step: int) -> None:
    (output / "checkpoints").mkdir(exist_ok=True)
    (output / "checkpoints" / f"step-{step:08d}.pt").write_bytes(b"")


match behaviour, rank, restart:
    case "speak", _, _:
        print(f"rank {rank} on stdout")
        print(f"rank {rank} on stderr", file=sys.stderr)
    case (("killed once" | "killed always"), 1, attempt) if attempt == 0 or behaviour == "killed always":
        checkpoint(400)
        os.kill(os.getpid(), signal.SIGKILL)
    case "killed once", 0, 0:
        stop.wait(20)
        fail(IncoderError("another process ended"), is_lost=True)
    case "refuse", 1, _:
        fail(IncoderError("the disk is full"))
    case "all refuse", _, _:
        fail(IncoderError("the recipe is wrong"))
    case "crash", 1, _:
        print("Traceback: where it happened", file=sys.stderr)
        fail(KeyError("weights"))
    case "lose", _, 0:
        fail(IncoderError("process 0 of 2 lost another process"), is_lost=True)
    case "status", 1, _:
        sys.exit(7)
    case "stubborn", 1, 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    case "stubborn", 0, 0:
        while True:
            time.sleep(0.1)
    case "train", _, _:
        stop.wait(60)
        time.sleep(0.2 * rank)  # the first one writes the checkpoint and leaves before the others
        if rank == 0:
            checkpoint(5)
        sys.exit(INTERRUPTED if stop.is_set() else 0)
    case "hang", _, _:
        while True:
            stop.wait()
            time.sleep(0.1)
    case "one is stopped", _, _:
        time.sleep(rank / 4)
        sys.exit(INTERRUPTED)
    case _:
        stop.wait(
            20 if behaviour in ("refuse", "crash", "status", "killed always") else 0
        )  # until it is ended
