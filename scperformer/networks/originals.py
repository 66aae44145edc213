"""The original authors' weights: what they are, where they lie, how a copy is recognised.

From github.com/jamm1985/seismo-performer (MIT). They are not part of this package;
`fetch` brings them. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from scperformer.errors import WeightsError
from scperformer.networks.contract import Network

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
