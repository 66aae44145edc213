"""Run a command and write down what it took: LAUNCH.PY RESULT COMMAND [ARGUMENT ...].

A process of its own, and a small one, because Linux counts the memory of the process
that starts another one into the other's peak.
"""

import json
import os
import resource
import sys
import time


def main(result: str, command: list[str]) -> None:
    """Run the command; write its status, seconds and peak memory as JSON."""
    begun = time.monotonic()
    process = os.posix_spawn(command[0], command, os.environ)
    _, status = os.waitpid(process, 0)
    wall_s = time.monotonic() - begun
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    figures = {
        "status": os.waitstatus_to_exitcode(status),
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "begun_s": begun,
    }
    with open(result, "w", encoding="ascii") as file:
        json.dump(figures, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
