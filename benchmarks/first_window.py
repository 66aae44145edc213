"""A command that writes down when it reached its steps, on the clock of all processes.

python -m benchmarks.first_window scan ARCHIVE -o FILE
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any


def main(arguments: list[str]) -> int:
    """Run the command; the last line on standard output is JSON, `time.monotonic` by step."""
    reached = {"Python runs": time.monotonic()}
    from scperformer.cli import scan_session  # noqa: PLC0415 - timed
    from scperformer.cli.main import main as tool  # noqa: PLC0415 - timed
    from scperformer.core.streaming import StreamingNetwork  # noqa: PLC0415 - timed

    reached["modules imported"] = time.monotonic()

    def note(step: str, holder: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(holder, name)

        def noted(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            reached.setdefault(step, time.monotonic())
            return result

        setattr(holder, name, noted)

    note("model loaded", scan_session, "load_model")
    note("first columns scored", StreamingNetwork, "predict")
    status = tool(arguments)
    reached["picks written"] = time.monotonic()
    print(json.dumps(reached))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
