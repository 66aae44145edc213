"""Where models are looked for. Nothing here imports TensorFlow."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import scperformer
from scperformer.errors import ModelError
from scperformer.networks.manifest import MANIFEST_FILE
from scperformer.networks.originals import ORIGINALS, STAND_INS

LOGGER = logging.getLogger(__name__)

MODELS_VARIABLE = "SCPERFORMER_MODELS"
DEFAULT_MODEL = "performer"


def model_roots() -> list[Path]:
    """Return the folders in which model folders are looked for, the first wins.

    They are those of ``$SCPERFORMER_MODELS`` (separated by colons), ``models`` of the
    source tree, the package's own, SeisComP's, the Python prefix's and the user's.
    """
    package = Path(scperformer.__file__).resolve().parent
    roots = [Path(part) for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part]
    roots += [package.parent / "models", package / "_models"]
    if seiscomp := os.environ.get("SEISCOMP_ROOT"):
        roots.append(Path(seiscomp) / "share" / "scperformer" / "models")
    roots.append(Path(sys.prefix) / "share" / "scperformer" / "models")
    roots.append(_user_data() / "scperformer" / "models")
    return list(dict.fromkeys(roots))


def fetch_root() -> Path:
    """Return the folder that fetched models go into.

    It is the first of ``$SCPERFORMER_MODELS``, or else the user's own, below
    ``$XDG_DATA_HOME`` (``~/.local/share``).
    """
    named = [part for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part]
    return Path(named[0]) if named else _user_data() / "scperformer" / "models"


def list_models() -> list[Path]:
    """Return the model folders found, by name; of two of the same name the first found."""
    found: dict[str, Path] = {}
    for root in model_roots():
        for folder in _models_in(root):
            found.setdefault(folder.name, folder)
    return [found[name] for name in sorted(found)]


def find_model(name: str) -> Path:
    """Return the folder of a model.

    Where there is no model ``cnn`` of ours, the original authors' serves, once fetched.

    Args:
        name: path of a model folder, or the name of one in `model_roots`.

    Raises:
        ModelError: no such model; says which there are and where they were looked for.
    """
    if name and _is_model(Path(name)):
        return Path(name)
    if not name or os.sep in name:
        raise ModelError(
            f"{name!r}: no model folder there; wanted a folder with {MANIFEST_FILE} in it, "
            "or a model's name"
        )
    for wanted in (name, STAND_INS.get(name, "")):
        for root in model_roots():
            if wanted and _is_model(root / wanted):
                if wanted != name:
                    LOGGER.warning("no model %r; the original authors' %r serves", name, wanted)
                return root / wanted
    raise _no_such_model(name)


def _no_such_model(name: str) -> ModelError:
    names = ", ".join(folder.name for folder in list_models()) or "none"
    folders = "\n  ".join(str(root) for root in model_roots())
    original = STAND_INS.get(name, name)
    advice = f"give one of these names, a folder, or set ${MODELS_VARIABLE}"
    if original in ORIGINALS:
        advice = (
            "the original authors have published one, which this brings here:\n"
            f"  scperformer models fetch {original}"
        )
    return ModelError(f"no model {name!r}; models found: {names}; looked in\n  {folders}\n{advice}")


def _models_in(root: Path) -> list[Path]:
    try:
        folders = sorted(root.iterdir())
    except OSError:
        return []
    return [one for one in folders if not one.name.startswith(".") and _is_model(one)]


def _is_model(folder: Path) -> bool:
    return (folder / MANIFEST_FILE).is_file()


def _user_data() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
