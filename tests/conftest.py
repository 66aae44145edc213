"""Fixtures that several test folders share."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import profiles

ROOT = Path(__file__).resolve().parents[1]

profiles.register()


def shared_folder() -> Path:
    return Path(os.environ.get("SCPERFORMER_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = shared_folder()
    if not folder.is_dir():
        pytest.skip(f"no shared records at {folder}; set SCPERFORMER_SHARED")
    return folder


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost with its key; what clients shall trust ends in .crt."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl for a certificate")
    path = tmp_path / "server.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost "
        f"-keyout {path} -out {path}.crt"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path
