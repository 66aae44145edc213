"""Which models there are: where they are looked for, and the original authors' to be fetched.

The latter are from github.com/jamm1985/seismo-performer (MIT). They are not part of this
package; `fetch` brings them. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import scperformer
from scperformer.errors import ModelError, WeightsError
from scperformer.networks.contract import Network
from scperformer.networks.manifest import MANIFEST_FILE

LOGGER = logging.getLogger(__name__)

MODELS_VARIABLE = "SCPERFORMER_MODELS"
DEFAULT_MODEL = "streaming"
WINDOW_MODEL = "performer"
"""The one for windows on their own, which the default cannot answer."""

ADDRESS = "https://raw.githubusercontent.com/jamm1985/seismo-performer/main/WEIGHTS"
LICENCE = "MIT"
COPYRIGHT = "Copyright (c) 2020 Andrey Stepnov; https://github.com/jamm1985/seismo-performer"
CITATION = (
    "Stepnov, Chernykh and Konovalov 2021, The Seismo-Performer, Sensors 21, 6290, "
    "https://doi.org/10.3390/s21186290"
)
LARGEST_BYTES = 64 * 2**20
"""More than any of the files has; a source that sends more is cut off."""

_PIECE_BYTES = 2**20


def model_roots() -> list[Path]:
    """Return the folders in which model folders are looked for, the first wins.

    They are those of ``$SCPERFORMER_MODELS`` (separated by colons), ``models`` of the
    source tree, the package's own, SeisComP's, the Python prefix's and the user's.
    """
    package = Path(scperformer.__file__).resolve().parent
    roots = [*_named_roots(), package.parent / "models", package / "_models"]
    if seiscomp := os.environ.get("SEISCOMP_ROOT"):
        roots.append(Path(seiscomp) / "share" / "scperformer" / "models")
    roots.append(Path(sys.prefix) / "share" / "scperformer" / "models")
    roots.append(_own_root())
    return list(dict.fromkeys(roots))


def fetch_root() -> Path:
    """Return the folder that fetched models go into.

    It is the first of ``$SCPERFORMER_MODELS``, or else the user's own, below
    ``$XDG_DATA_HOME`` (``~/.local/share``).
    """
    return next(iter(_named_roots()), _own_root())


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


def _named_roots() -> list[Path]:
    return [Path(part) for part in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if part]


def _own_root() -> Path:
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "scperformer" / "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """One of the authors' weights files.

    Attributes:
        name: the model's name here.
        network: the network it is for.
        file: its name in the authors' repository.
        trained_on: the data, in words.
        size_bytes: its size, 0 if it is not known.
        sha256: its SHA-256, hexadecimal, empty if it is not known.
        git_blob: its git object id, hexadecimal SHA-1, empty if it is not known. One of the
            two is.
    """

    name: str
    network: Network
    file: str
    trained_on: str
    size_bytes: int = 0
    sha256: str = ""
    git_blob: str = ""

    @property
    def most_bytes(self) -> int:
        """No copy is larger than this."""
        return self.size_bytes or LARGEST_BYTES

    def check(self, path: Path) -> str:
        """Return the SHA-256 of a file that is this one.

        Raises:
            WeightsError: it cannot be read, or is another file, altered or cut short.
        """
        try:
            size = path.stat().st_size
            sha256, git_blob = _digests(path, size)
        except OSError as error:
            raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
        if self.sha256 and sha256 != self.sha256:
            raise self._not_mine(path, size, "SHA-256", sha256, self.sha256)
        if self.git_blob and git_blob != self.git_blob:
            raise self._not_mine(path, size, "git object id", git_blob, self.git_blob)
        return sha256

    def _not_mine(self, path: Path, size: int, what: str, got: str, wanted: str) -> WeightsError:
        return WeightsError(
            f"{path}: {size} bytes with the {what} {got}; wanted {wanted}, the authors' "
            f"{self.file}; it was altered, cut short or is another file: not used"
        )


def _digests(path: Path, size: int) -> tuple[str, str]:
    sha256 = hashlib.sha256()
    # git's own name for a content; nothing rests on SHA-1 where a SHA-256 is known.
    blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            sha256.update(piece)
            blob.update(piece)
    return sha256.hexdigest(), blob.hexdigest()


_ALL = (
    Original(
        name="performer-v2",
        network=Network.PERFORMER,
        file="w_model_performer_v2.0.h5",
        trained_on="GPD, STEAD and Meier's noise, 8.25 million windows",
        size_bytes=290_536,
        sha256="d90c9f9ee570cb7155e87574c06fc26145b69460f5b6e7a8f351992b8517c710",
    ),
    Original(
        name="performer-v1",
        network=Network.PERFORMER,
        file="w_model_performer_with_spec.hd5",
        trained_on="Southern California (GPD), 4.8 million windows",
        size_bytes=289_936,
        sha256="75821ac3d239f012e099a2bbaf7caee1e3ad8b979007758041091cf95fa5b25b",
    ),
    Original(
        name="cnn-v2",
        network=Network.CNN,
        file="w_model_cnn_v2.0.h5",
        trained_on="GPD, STEAD and Meier's noise, 8.25 million windows",
        size_bytes=750_360,
        sha256="a7dbe3f34f546fbe4d486c9106b4b220e2224492a57a3d21260330d151226da5",
    ),
    Original(
        name="cnn-v1",
        network=Network.CNN,
        file="weights_model_cnn_spec.hd5",
        trained_on="Southern California (GPD), 4.8 million windows",
        size_bytes=748_952,
        sha256="831698dbb48ed46c5bbab6fdbd05b753f5058bf285def2e17c3935b2b7ea4bcb",
    ),
    Original(
        name="gpd",
        network=Network.GPD,
        file="w_gpd_scsn_2000_2017.h5",
        trained_on="Southern California, 2000 to 2017 (Ross et al. 2018)",
        git_blob="9db447df322c6adb57d4eba182ac5decae0fdfe2",
    ),
)

ORIGINALS: Mapping[str, Original] = MappingProxyType({item.name: item for item in _ALL})
STAND_INS: Mapping[str, str] = MappingProxyType({"cnn": "cnn-v2"})
"""Which of them serves, once fetched, for a model of ours that is not there."""
