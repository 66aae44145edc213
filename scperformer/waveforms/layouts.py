"""How public archives name their objects in S3 buckets: a channel's day, or a station's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from scperformer.types import SeedId

_EPOCH = date(1970, 1, 1)
_FILLER = "_"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an archive has what.

    Attributes:
        bucket, region, prefix: where it is, as its owners publish it.
        folder: of a day, below the prefix, with network, year and day of the year.
        stem: how the rest of a name begins for a station; a filler stands for missing letters.
        pattern: the rest of a name.
        credit: what its owners ask to be cited.
    """

    bucket: str
    region: str
    prefix: str
    folder: str
    stem: str
    pattern: re.Pattern[str]
    credit: str

    @property
    def is_by_network(self) -> bool:
        """Whether each network has folders of its own."""
        return "{network}" in self.folder

    @property
    def has_stations(self) -> bool:
        """Whether an object holds all channels of a station."""
        return "channel" not in self.pattern.groupindex

    def day_folder(self, day: int, network: str) -> str:
        """Return where a day's objects are, below the prefix; days count from 1970-01-01."""
        that = _EPOCH + timedelta(days=day)
        return self.folder.format(network=network, year=that.year, day=that.timetuple().tm_yday)

    def stem_of(self, network: str, station: str) -> str:
        """Return how names of a station begin in the folder of a day; empty codes mean all."""
        if network and station:
            return self.stem.format(network=network, station=station)
        return network if self.stem.startswith("{network") else ""

    def parse(self, key: str, day: int) -> SeedId | None:
        """Read what follows the folder of a day in a name; None if it is no object of that day.

        Location and channel are empty where the object holds a station.
        """
        that = _EPOCH + timedelta(days=day)
        match = self.pattern.fullmatch(key)
        if match is None or (int(match["year"]), int(match["day"])) != (
            that.year,
            that.timetuple().tm_yday,
        ):
            return None
        codes = match.groupdict("")
        fields = (codes.get(name, "") for name in ("network", "station", "location", "channel"))
        return SeedId(*(field.rstrip(_FILLER) for field in fields))


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "scedc": Layout(
            bucket="scedc-pds",
            region="us-west-2",
            prefix="continuous_waveforms/",
            folder="{year}/{year}_{day:03d}/",
            stem="{network:_<2}{station:_<5}",
            pattern=re.compile(
                r"(?P<network>\w\w)(?P<station>\w{5})(?P<channel>\w{3})(?P<location>\w{2,3})"
                r"(?P<year>\d{4})(?P<day>\d{3})\.ms"
            ),
            credit="SCEDC, doi:10.7909/C3WD3xH1",
        ),
        "ncedc": Layout(
            bucket="ncedc-pds",
            region="us-west-2",
            prefix="continuous_waveforms/",
            folder="{network}/{year}/{year}.{day:03d}/",
            stem="{station}.{network}.",
            pattern=re.compile(
                r"(?P<station>[^.]+)\.(?P<network>[^.]+)\.(?P<channel>[^.]+)\.(?P<location>[^.]*)"
                r"\.[A-Z]\.(?P<year>\d{4})\.(?P<day>\d{3})"
            ),
            credit="NCEDC, doi:10.7932/NCEDC",
        ),
        "earthscope": Layout(
            bucket="earthscope-geophysical-data",
            region="us-east-2",
            prefix="miniseed/",
            folder="{network}/{year}/{day:03d}/",
            stem="{station}.{network}.",
            pattern=re.compile(
                r"(?P<station>[^.]+)\.(?P<network>[^.]+)\.(?P<year>\d{4})\.(?P<day>\d{3})(#\d+)?"
            ),
            credit="EarthScope, https://www.earthscope.org/how-to-cite",
        ),
        "geonet": Layout(
            bucket="geonet-open-data",
            region="ap-southeast-2",
            prefix="waveforms/miniseed/",
            folder="{year}/{year}.{day:03d}/",
            stem="{station}.{network}/",
            pattern=re.compile(
                r"[^/]+/(?P<year>\d{4})\.(?P<day>\d{3})\.(?P<station>[^.]+)"
                r"\.(?P<location>[^.-]*)-(?P<channel>[^.]+)\.(?P<network>[^.]+)\.[A-Z]"
            ),
            credit="GeoNet, CC BY 4.0",
        ),
    }
)
"""By name."""
