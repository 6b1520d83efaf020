"""A worker's thread at the ends of processes: forked ones, and those that end with the worker open."""

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_is_refused_and_a_process_with_an_open_worker_ends() -> None:
    program = """
import os, incoder
from incoder.errors import IncoderError
from incoder.inference.engine.worker import EngineWorker
from incoder.request import InfillRequest
model = incoder.load("mini")
worker = EngineWorker(model.language_model)
child = os.fork()
if not child:
    try:
        worker.submit(model.generation(InfillRequest(parts=("x",))))
    except IncoderError as error:
        print("forked" in str(error), flush=True)
    os._exit(0)
os.waitpid(child, 0)
worker.submit(model.generation(InfillRequest(parts=("x",))))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
