"""The Containerfile: what it says, its steps run as a script, and the image where one can be built.

SCPERFORMER_EMPTY_ENVIRONMENTS=1 lets pip fetch what it installs. An image is built by the
first of buildah, podman and docker that already has the base image; no registry is asked.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

import scperformer
from tests.conftest import ROOT
from tests.integration.test_package import EMPTY, check_installed, without_source

WITH_TENSORFLOW = {"einops", "kapre", "keras", "tensorflow"}
BUILDERS = ("buildah", "podman", "docker")
PLACES = ("/opt/scperformer", "/src")


@dataclass(frozen=True)
class Step:
    """An instruction of the Containerfile, the number of its stage and what is behind its word."""

    word: str
    text: str
    stage: int


def steps():
    text = re.sub(r"^#.*\n", "", (ROOT / "Containerfile").read_text(), flags=re.MULTILINE)
    stage, found = 0, []
    for line in filter(None, text.replace("\\\n", "").splitlines()):
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        found.append(Step(word, re.sub(r"\s+", " ", rest.strip()), stage))
    return found


def texts(word, stage):
    return [step.text for step in steps() if (step.word, step.stage) == (word, stage)]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_light_is_what_is_depended_on_but_tensorflow():
    light, whole = PROJECT["dependency-groups"]["light"], PROJECT["project"]["dependencies"]
    assert {re.match(r"[\w-]+", line)[0] for line in set(whole) - set(light)} == WITH_TENSORFLOW
    assert set(light) - set(whole) == set(PROJECT["project"]["optional-dependencies"]["onnx"])


def test_the_image_is_run_by_nobody_in_particular_and_tells_its_health():
    (user,) = texts("USER", 2)
    uid, _, gid = user.partition(":")
    assert int(uid) >= 1000
    assert int(gid) >= 1000
    assert [shlex.split(text) for text in texts("ENTRYPOINT", 2)] == [["[scperformer]"]]
    assert texts("VOLUME", 2) == ["/state"]
    (health,) = texts("HEALTHCHECK", 2)
    assert "CMD scperformer status /state/metrics.prom" in health


def test_everything_that_is_copied_is_there_and_nothing_is_missing_for_the_wheel():
    copied = {name for text in texts("COPY", 1) for name in text.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    build = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    named = {*build["packages"], *build["force-include"], PROJECT["project"]["readme"]}
    assert named | {PROJECT["project"]["license"]["file"], "pyproject.toml"} == copied


def run_as_script(folder, **arguments):
    """Do the first stage's steps below a folder, as far as they can be done outside a container."""
    places = {place: f"{folder}{place}" for place in PLACES}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**without_source(), "PATH": path, **arguments}
    for step in steps():
        if step.stage != 1 or "apt-get" in step.text:
            continue
        text = re.sub("|".join(PLACES), lambda found: places[found[0]], step.text)
        if step.word == "COPY":
            *names, target = text.split()
            Path(target).mkdir(parents=True, exist_ok=True)
            command = (
                f"cp -r {' '.join(names)} {target if target.endswith('/') else target + '/..'}"
            )
        elif step.word == "RUN":
            command = text
        else:
            environment |= dict(re.findall(r"(\w+)=(\S+)", text)) if step.word == "ENV" else {}
            continue
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return Path(places["/opt/scperformer"])


@EMPTY
@pytest.mark.slow
def test_its_steps_install_what_picks_without_tensorflow(tmp_path):
    environment = run_as_script(tmp_path, TENSORFLOW="no")
    check_installed(environment, tmp_path)
    (packages,) = environment.glob("lib/python*/site-packages")
    assert not [name for name in WITH_TENSORFLOW if (packages / name).exists()]


def builder():
    """The builder that has the base image, and the image's name; skips where there is none."""
    base = re.search(r"^ARG BASE=(\S+)", (ROOT / "Containerfile").read_text(), re.MULTILINE)[1]
    base = os.environ.get("SCPERFORMER_BASE_IMAGE", base)
    for name in filter(shutil.which, BUILDERS):
        asked = subprocess.run(
            [name, "inspect", "--type", "image", base], capture_output=True, check=False
        )
        if asked.returncode == 0:
            return name, base
    pytest.skip(f"no builder that has the image {base}")


@EMPTY
@pytest.mark.slow
def test_the_image_is_built():
    name, base = builder()
    verb = "build" if name != "buildah" else "bud"
    never = [] if name == "docker" else ["--pull-never" if name == "buildah" else "--pull=never"]
    command = [name, verb, *never, "--build-arg", f"BASE={base}", "-t", "scperformer:test"]
    done = subprocess.run([*command, "-f", "Containerfile", "."], cwd=ROOT, check=False)
    assert done.returncode == 0
    if name != "buildah":
        told = [name, "run", "--rm", "--read-only", "scperformer:test", "--version"]
        version = subprocess.run(told, capture_output=True, text=True, check=True).stdout
        assert scperformer.__version__ in version
