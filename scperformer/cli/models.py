"""`scperformer models`: list, show, verify, fetch and export models."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from scperformer.cli import EXIT_NOTHING_DONE, EXIT_OK, EXIT_SOME_FAILED
from scperformer.cli.parser import add_options
from scperformer.errors import ConfigurationError, ModelError

if TYPE_CHECKING:
    from scperformer.networks.fetch import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser(
        "list",
        help="the models that are found, and where; those that can be fetched",
        description="Lists the models that are found, and those that can be fetched.",
    )
    show = actions.add_parser("show", help="a model's card", description="Prints a model's card.")
    show.add_argument("name", metavar="NAME", help="a model's name or folder")
    verify = actions.add_parser(
        "verify",
        help="check cards, checksums and weights",
        description="Checks cards, checksums and weights.",
    )
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help="names or folders (default: all models found)"
    )
    _add_fetch(actions)
    export = actions.add_parser(
        "export",
        help="write a model on windows for ONNX Runtime: it then picks without TensorFlow",
        description="Writes a model folder anew with network.onnx beside its weights. ONNX Runtime "
        "computes it, on processors, wherever that folder is named as --model-name FOLDER: answers "
        "are the same to 1e-5, and TensorFlow is not needed. The export itself needs it, and "
        "pip install 'scperformer[onnx-export]'.",
    )
    export.add_argument("name", metavar="NAME", help="a model's name or folder")
    export.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FOLDER", help="the model folder to write"
    )


def _add_fetch(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    fetch = actions.add_parser(
        "fetch",
        help="bring the original authors' weights here, checked",
        description="Brings the original authors' weights (MIT licence) from their public "
        "address, checks them against the known digest and makes a model folder of them, "
        "usable as --model-name NAME. 'scperformer models list' tells the names.",
    )
    fetch.add_argument(
        "names",
        nargs="+",
        metavar="NAME",
        help="performer-v2, performer-v1, cnn-v2, cnn-v1, gpd, or all",
    )
    source = fetch.add_mutually_exclusive_group()
    address = "http or https address of a folder that holds the files"
    add_options(source, {"--mirror URL": address})
    source.add_argument(
        "--from",
        dest="local",
        type=Path,
        metavar="FOLDER",
        help="a folder on this machine that holds the files; no network is used",
    )
    add_options(
        fetch,
        {
            "--into FOLDER": "folder of model folders to write to (default: the first of "
            "$SCPERFORMER_MODELS, or ~/.local/share/scperformer/models)",
        },
    )


def run(options: argparse.Namespace) -> int:
    """Do what is asked for; return the exit status."""
    if options.action == "list":
        return _list()
    if options.action == "show":
        return _show(options.name)
    if options.action == "fetch":
        return _fetch(options)
    if options.action == "export":
        return _export(options.name, options.out)
    return _verify(options.names)


def _list() -> int:
    from scperformer.networks.manifest import read_manifest  # noqa: PLC0415
    from scperformer.networks.registry import ORIGINALS, list_models  # noqa: PLC0415

    folders = {folder.name: folder for folder in list_models()}

    def line(name: str) -> str:
        card = read_manifest(folders[name])
        return f"{name:<16} {card.network:<10} version {card.version:<8} {folders[name]}"

    n_failed = _tell(line, folders)
    if missing := ", ".join(name for name in ORIGINALS if name not in folders):
        print(f"to be had by 'scperformer models fetch NAME': {missing}", file=sys.stderr)
    if not folders:
        return _no_models()
    return EXIT_SOME_FAILED if n_failed else EXIT_OK


def _no_models() -> int:
    from scperformer.networks.registry import model_roots  # noqa: PLC0415

    print("no models; looked in", *model_roots(), sep="\n  ", file=sys.stderr)
    return EXIT_NOTHING_DONE


def _tell(line: Callable[[str], str], names: Iterable[str]) -> int:
    """Print a line for each model, or what is wrong with it; return how many are wrong."""
    n_failed = 0
    for name in names:
        try:
            print(line(name))
        except ModelError as error:
            print(f"{name}: {error}", file=sys.stderr)
            n_failed += 1
    return n_failed


def _show(name: str) -> int:
    from scperformer.networks.manifest import read_manifest  # noqa: PLC0415
    from scperformer.networks.registry import find_model  # noqa: PLC0415

    folder = find_model(name)
    card = read_manifest(folder)
    print(f"# {folder}", file=sys.stderr)
    print(card.to_text(), end="")
    return EXIT_OK


def _verify(names: list[str]) -> int:
    from scperformer.networks.registry import list_models  # noqa: PLC0415

    wanted = names or [str(folder) for folder in list_models()]
    return _status(_tell(_verified, wanted), len(wanted)) if wanted else _no_models()


def _verified(name: str) -> str:
    """Check a model; return a line that says so."""
    from scperformer.networks.manifest import (  # noqa: PLC0415
        check_graph_file,
        check_weights_file,
        read_manifest,
    )
    from scperformer.networks.registry import ORIGINALS, find_model  # noqa: PLC0415
    from scperformer.networks.streaming import read_streaming  # noqa: PLC0415
    from scperformer.networks.weights import read_weights  # noqa: PLC0415

    folder = find_model(name)
    card = read_manifest(folder)
    weights = check_weights_file(card, folder)
    original = ORIGINALS.get(card.name)
    if original is not None and original.file == card.weights_file:
        original.check(weights)
    if card.streaming is not None:
        read_streaming(weights, card.streaming.shape)
    else:
        read_weights(weights, card.network)
    if card.graph_sha256:
        check_graph_file(card, folder)
    return f"{folder}: good, {card.network}, sha256 {card.weights_sha256}"


def _export(name: str, folder: Path) -> int:
    from scperformer.networks.onnx_export import export  # noqa: PLC0415

    card = export(name, folder)
    print(f"{folder}: {card.network} for ONNX Runtime, sha256 {card.graph_sha256}")
    return EXIT_OK


def _fetch(options: argparse.Namespace) -> int:
    from scperformer.networks.fetch import address, fetch_original  # noqa: PLC0415
    from scperformer.networks.registry import (  # noqa: PLC0415
        ADDRESS,
        MODELS_VARIABLE,
        ORIGINALS,
        fetch_root,
        model_roots,
    )

    root = options.into or fetch_root()
    names = list(ORIGINALS) if options.names == ["all"] else list(dict.fromkeys(options.names))
    if unknown := [name for name in names if name not in ORIGINALS]:
        known = ", ".join(ORIGINALS)
        raise ConfigurationError(f"{', '.join(unknown)}: cannot be fetched; wanted {known}, or all")
    mirror = options.mirror or ADDRESS
    address(mirror, "")

    def line(name: str) -> str:
        where = {"mirror": mirror, "local": options.local}
        with _bar(name) as progress:
            fetched = fetch_original(ORIGINALS[name], root, progress=progress, **where)
        how = "was there" if fetched.was_there else "fetched"
        return f"{name}: {how}, {fetched.folder}, sha256 {fetched.sha256}"

    n_failed = _tell(line, names)
    if root not in model_roots():
        print(f"to find it by name, set {MODELS_VARIABLE}={root}", file=sys.stderr)
    return _status(n_failed, len(names))


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    """Give what draws a progress line on a terminal, and nothing elsewhere."""
    from tqdm import tqdm  # noqa: PLC0415

    with tqdm(desc=name, unit="B", unit_scale=True, leave=False, disable=None) as bar:

        def show(count: int, total: int) -> None:
            bar.total = total or None
            bar.update(count - bar.n)

        yield show


def _status(failed: int, wanted: int) -> int:
    if failed == wanted:
        return EXIT_NOTHING_DONE
    return EXIT_SOME_FAILED if failed else EXIT_OK
