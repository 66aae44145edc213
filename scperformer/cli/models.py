"""`scperformer models`: list, show and verify models."""

from __future__ import annotations

import argparse
import sys

EXIT_OK, EXIT_SOME_FAILED, EXIT_NOTHING_DONE = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="the models that are found, and where")
    show = actions.add_parser("show", help="a model's card")
    show.add_argument("name", metavar="NAME", help="a model's name or folder")
    verify = actions.add_parser("verify", help="check cards, checksums and weights")
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="names or folders (default: all models found)"
    )


def run(options: argparse.Namespace) -> int:
    """Do what is asked for; return the exit status."""
    if options.action == "list":
        return _list()
    if options.action == "show":
        return _show(options.name)
    return _verify(options.names)


def _list() -> int:
    from scperformer.errors import ModelError  # noqa: PLC0415
    from scperformer.networks.manifest import read_manifest  # noqa: PLC0415
    from scperformer.networks.registry import list_models, model_roots  # noqa: PLC0415

    entries = list_models()
    if not entries:
        print("no models; looked in", *model_roots(), sep="\n  ", file=sys.stderr)
        return EXIT_NOTHING_DONE
    failed = 0
    for entry in entries:
        try:
            card = read_manifest(entry.folder)
        except ModelError as error:
            print(f"{entry.name}: {error}", file=sys.stderr)
            failed += 1
            continue
        print(f"{entry.name:<16} {card.network:<10} version {card.version:<8} {entry.folder}")
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _show(name: str) -> int:
    from scperformer.networks.manifest import read_manifest  # noqa: PLC0415
    from scperformer.networks.registry import find_model  # noqa: PLC0415

    folder = find_model(name)
    card = read_manifest(folder)
    print(f"# {folder}", file=sys.stderr)
    print(card.to_text(), end="")
    return EXIT_OK


def _verify(names: list[str]) -> int:
    from scperformer.errors import ModelError  # noqa: PLC0415
    from scperformer.networks.registry import list_models, model_roots  # noqa: PLC0415

    wanted = names or [str(entry.folder) for entry in list_models()]
    if not wanted:
        print("no models; looked in", *model_roots(), sep="\n  ", file=sys.stderr)
        return EXIT_NOTHING_DONE
    failed = 0
    for name in wanted:
        try:
            print(_verified(name))
        except ModelError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed += 1
    if failed == len(wanted):
        return EXIT_NOTHING_DONE
    return EXIT_SOME_FAILED if failed else EXIT_OK


def _verified(name: str) -> str:
    """Check a model; return a line that says so."""
    from scperformer.networks.manifest import check_weights_file, read_manifest  # noqa: PLC0415
    from scperformer.networks.registry import find_model  # noqa: PLC0415
    from scperformer.networks.weights import read_weights  # noqa: PLC0415

    folder = find_model(name)
    card = read_manifest(folder)
    read_weights(check_weights_file(card, folder), card.network)
    return f"{folder}: good, {card.network}, sha256 {card.weights_sha256}"
