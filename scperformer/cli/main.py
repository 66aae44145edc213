"""Entry point of the command `scperformer`."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence

from scperformer import __version__
from scperformer.cli import EXIT_NOTHING_DONE
from scperformer.cli.parser import Parser
from scperformer.errors import ConfigurationError, ScperformerError
from scperformer.setting import alike

SUBCOMMANDS = {
    "scan": "pick phases in archives: miniSEED files, folders, an SDS root or a list file",
    "stream": "pick phases in real time from SeedLink servers, files or standard input",
    "status": "say what is wrong with a running picker, as a plugin of Nagios and Icinga",
    "predict": "class probabilities of windows",
    "dataset": "build training windows from waveforms and picks, or from SeisBench data",
    "train": "train a network and write a model folder",
    "plot": "draw a station's waveforms, probabilities and picks, or a record section",
    "export": "write picks for associators and location programs: PyOcto, NonLinLoc, HYPODD, ...",
    "evaluate": "score models and picks of others against labels",
    "models": "list, show, verify, fetch and export models",
    "bench": "measure how many stations this machine keeps up with",
    "drift": "compare stations by a week of their picks, and name those unlike the others",
    "demo": "pick a real earthquake record and draw it",
}


def build_parser(only: str | None = None) -> Parser:
    """Build the parser; only the module of the named subcommand is imported."""
    parser = Parser(
        prog="scperformer",
        description="Real-time and archive picker of seismic P and S phases "
        "(Seismo-Performer network).",
        epilog="'scperformer SUBCOMMAND --help' explains a subcommand. Under SeisComP, "
        "'seiscomp exec scperformer' without a subcommand is a module with SeisComP's options; "
        "'seiscomp exec scperformer --help' tells them.",
    )
    version = f"scperformer {__version__}"
    parser.add_argument("-V", "--version", action="version", version=version)
    commands = parser.add_subparsers(dest="command", metavar="SUBCOMMAND")
    for name, summary in SUBCOMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:])
        if name == only:
            importlib.import_module(f"scperformer.cli.{name}").add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in arguments if word in SUBCOMMANDS), None)
    parser = build_parser(name)
    if not arguments:
        parser.print_help()
        return EXIT_NOTHING_DONE
    if not arguments[0].startswith("-") and arguments[0] not in SUBCOMMANDS:
        advice = alike(arguments[0], SUBCOMMANDS) or f"; wanted {', '.join(SUBCOMMANDS)}"
        parser.error(f"{arguments[0]!r}: no such subcommand{advice}")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.error(f"no subcommand; wanted one of {', '.join(SUBCOMMANDS)}")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s: %(message)s")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    module = importlib.import_module(f"scperformer.cli.{options.command}")
    try:
        return int(module.run(options))
    except ConfigurationError as error:
        from scperformer.cli.options import as_typed  # noqa: PLC0415 - only where it is needed

        for fault in error.faults:
            print(f"scperformer {options.command}: {as_typed(fault)}", file=sys.stderr)
        return EXIT_NOTHING_DONE
    except ScperformerError as error:
        print(f"scperformer {options.command}: {error}", file=sys.stderr)
        return EXIT_NOTHING_DONE
    except ModuleNotFoundError as error:
        print(
            f"scperformer {options.command}: needs a package that is not installed ({error}); "
            "'pip install scperformer' brings all that it depends on",
            file=sys.stderr,
        )
        return EXIT_NOTHING_DONE
    except KeyboardInterrupt:
        print("scperformer: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
