"""Picks for associators and location programs: which there are, and what they are given.

A target is a function that turns `Material` into files, and its entry in `TARGETS`. The
mapping of uncertainties to weights is the same for all, `weight_code`.
"""

from __future__ import annotations

import math
import pkgutil
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from scperformer.atomic import whole_folder
from scperformer.errors import ConfigurationError, InputError, OutputError
from scperformer.picks.events import Arrivals
from scperformer.picks.stations import Site, Station
from scperformer.types import NS_PER_S, Phase, Pick

UNSTATED_S = MappingProxyType({Phase.P: 0.1, Phase.S: 0.2})
"""Uncertainty of a pick that states none, one standard deviation in seconds."""

LEAST_S = 0.01
CODE_LIMITS_S = (0.05, 0.1, 0.2, 0.5)
"""Largest uncertainties of the weight codes 0, 1, 2 and 3; 4, no weight, is for what is larger."""

CODE_WEIGHTS = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Weights that the codes stand for, HYPOINVERSE's."""

_CODE = re.compile(r"[A-Za-z0-9_-]*")
_MOST_NAMED = 8

Files = Iterator[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Material:
    """What a target makes its files of.

    Attributes:
        picks: by time; for associators those that have a position.
        positions: by site; empty if no stations are known.
        arrivals: earthquakes with their picks; empty for associators.
    """

    picks: Sequence[Pick]
    positions: Mapping[Site, Station]
    arrivals: Sequence[Arrivals]


@dataclass(frozen=True, slots=True)
class Target:
    """A program that takes picks.

    Attributes:
        where: the function that makes its files is: a module of this folder, and its name.
        summary: what is written, for the help.
        associates: takes picks that belong to no earthquake yet, and positions of stations.
        needs_hypocentres: takes only earthquakes with a hypocentre.
    """

    where: str
    summary: str
    associates: bool = False
    needs_hypocentres: bool = False

    @property
    def files(self) -> Callable[[Material], Files]:
        """What makes its files: names inside the folder, and their contents."""
        found: Callable[[Material], Files] = pkgutil.resolve_name(f"scperformer.picks.{self.where}")
        return found


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        "pyocto": Target(
            "associators:pyocto", "PyOcto: picks.csv and stations.csv for its data frames", True
        ),
        "gamma": Target(
            "associators:gamma", "GaMMA: picks.csv and stations.csv for its data frames", True
        ),
        "real": Target(
            "associators:real",
            "REAL: a folder of NET.STA.PHASE.txt for each day, and stations.dat",
            True,
        ),
        "nonlinloc": Target(
            "locators:nonlinloc", "NonLinLoc: picks.obs (NLLOC_OBS) and stations.in (GTSRCE)"
        ),
        "hypoinverse": Target(
            "locators:hypoinverse", "HYPOINVERSE: phases.arc (Y2000 archive) and stations.sta"
        ),
        "nordic": Target("locators:nordic", "SEISAN: events.nor (Nordic of SEISAN 12 and later)"),
        "hypodd": Target(
            "locators:hypodd",
            "HYPODD: phase.dat and station.dat, which ph2dt takes",
            needs_hypocentres=True,
        ),
    }
)
"""Targets by the name that the command line has for them."""


def sigma_s(pick: Pick) -> float:
    """Return the uncertainty of a pick in seconds, at least `LEAST_S`; `UNSTATED_S` for nan."""
    stated = pick.uncertainty_s if math.isfinite(pick.uncertainty_s) else UNSTATED_S[pick.phase]
    return max(stated, LEAST_S)


def weight_code(pick: Pick) -> int:
    """Return 0 (full weight) to 4 (none), from the uncertainty alone."""
    return bisect_left(CODE_LIMITS_S, sigma_s(pick))


def rounded(time_ns: int, digits: int) -> int:
    """Round a time to so many decimals of a second, before it is taken apart."""
    step = NS_PER_S // int(10**digits)
    return (time_ns + step // 2) // step * step


def labels(picks: Sequence[Pick], target: str, *, longest: int, glue: str) -> dict[str, str]:
    """Name stations for programs that know no networks.

    Returns:
        By ``NET.STA``: the station's code, with its network in front where two share one.

    Raises:
        InputError: a name is too long.
    """
    networks: dict[str, set[str]] = {}
    for pick in picks:
        networks.setdefault(pick.seed_id.station, set()).add(pick.seed_id.network)
    found = {
        f"{network}.{station}": station if len(own) == 1 else f"{network}{glue}{station}"
        for station, own in networks.items()
        for network in own
    }
    check_lengths(found.values(), target, longest=longest)
    return found


def check_lengths(names: Iterable[str], target: str, *, longest: int) -> None:
    """Refuse station names that a format of fixed columns has no room for.

    Raises:
        InputError: names them.
    """
    long = sorted({name for name in names if not 0 < len(name) <= longest})
    if long:
        raise InputError(
            f"--to {target} has room for station codes of 1 to {longest} characters; got "
            f"{', '.join(map(repr, long))}"
        )


def write_export(target: str, folder: Path, material: Material) -> list[str]:
    """Write the files of a target into a new folder, all of them or none.

    Returns:
        Their names.

    Raises:
        ConfigurationError: an unknown target.
        InputError: the target cannot hold something of the material, or a code of a station
            has characters that are none of a code.
        OutputError: the folder is not empty, or cannot be written.
    """
    if target not in TARGETS:
        raise ConfigurationError(f"--to: got {target!r}; wanted one of {', '.join(TARGETS)}")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder}: is there and not empty; name a new folder")
    _check_codes(material)
    names = []
    with whole_folder(folder, what="export", remedy="name another folder") as hidden:
        for name, content in TARGETS[target].files(material):
            path = hidden / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            names.append(name)
    return names


def _check_codes(material: Material) -> None:
    """Refuse codes that would break lines apart, or lead out of the folder."""
    ids = {pick.seed_id for pick in material.picks}
    codes = {code for own in ids for code in (own.network, own.station, own.location, own.channel)}
    for site in material.positions:
        codes |= {site.network, site.station, site.location}
    odd = sorted(code for code in codes if not _CODE.fullmatch(code))
    if odd:
        raise InputError(
            f"got {', '.join(map(repr, odd[:_MOST_NAMED]))} for a code of network, station, "
            "location or channel; wanted letters, digits, - and _"
        )
