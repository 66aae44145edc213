"""Entry point of `scperformer`: the command-line tool and the SeisComP module in one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from scperformer.cli import main as tool
from scperformer.cli.console import tidy

_HELP = ("-h", "--help", "--version", "-V")


@tidy
def main(argv: Sequence[str] | None = None) -> int:
    """Run a known subcommand, or else the SeisComP module; return the exit status.

    Args:
        argv: arguments without the program's name; None for those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in tool.SUBCOMMANDS:
        return tool.main(arguments)
    try:
        importlib.import_module("seiscomp.client")
    except ImportError as error:
        return _without_seiscomp(arguments, error)
    module = importlib.import_module("scperformer.seiscomp.app")
    return int(module.run([sys.argv[0], *arguments]))


def _without_seiscomp(arguments: list[str], error: ImportError) -> int:
    if arguments == ["--version"]:
        return tool.main(arguments)
    print(
        f"scperformer: SeisComP's Python modules are not found ({error}). As a SeisComP module it "
        "runs under 'seiscomp exec'; without SeisComP there are these subcommands:\n",
        file=sys.stderr,
    )
    tool.build_parser().print_help()
    asked = any(word in _HELP for word in arguments)
    return tool.EXIT_OK if asked else tool.EXIT_NOTHING_DONE


if __name__ == "__main__":
    sys.exit(main())
