"""Entry point of `scperformer`: the command-line tool and the SeisComP module in one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from scperformer.allocation import keep_freed_memory
from scperformer.cli import EXIT_NOTHING_DONE
from scperformer.cli import main as tool
from scperformer.cli.console import tidy

_OF_THE_TOOL = ("-h", "--help", "-V", "--version")


@tidy
def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand, or else the SeisComP module; return the exit status.

    A word in front is a subcommand, known or not: the module takes options only.

    Args:
        argv: arguments without the program's name; None for those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    keep_freed_memory()
    if arguments and not arguments[0].startswith("-"):
        return tool.main(arguments)
    try:
        importlib.import_module("seiscomp.client")
    except ImportError as error:
        return _without_seiscomp(arguments, error)
    module = importlib.import_module("scperformer.seiscomp.app")
    return int(module.run([sys.argv[0], *arguments]))


def _without_seiscomp(arguments: list[str], error: ImportError) -> int:
    if not arguments or arguments[0] in _OF_THE_TOOL:
        return tool.main(arguments)
    behind = next((word for word in arguments if word in tool.SUBCOMMANDS), None)
    advice = f"put {behind} in front of its options, or " if behind else ""
    print(
        f"scperformer: {arguments[0]}: without a subcommand in front this is an option of the "
        f"SeisComP module, and SeisComP's Python modules are not found ({error}); {advice}"
        "run 'seiscomp exec scperformer ...' where SeisComP is installed. 'scperformer --help' "
        "tells what works without it",
        file=sys.stderr,
    )
    return EXIT_NOTHING_DONE


if __name__ == "__main__":
    sys.exit(main())
