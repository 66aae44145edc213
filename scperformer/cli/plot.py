"""`scperformer plot`: waveforms, what the network says, and picks; record sections."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from scperformer.cli.options import (
    add_model_options,
    add_selection_options,
    add_setting_options,
    parse_time_option,
    settings_from_options,
)
from scperformer.cli.parser import add_options
from scperformer.config import UNHURRIED, Settings
from scperformer.errors import ConfigurationError
from scperformer.setting import settings_of

_EPILOG = """\
examples:
  scperformer plot CI.CCC..HH?.D.2019.185 --start 2019-07-04T17:02:50 --end 2019-07-04T17:04
  scperformer plot /data/2019/185 --start 2019-07-04T17:02:50 --end 2019-07-04T17:03:40 \\
      --event events.csv --stations-xml stations.xml -o section.png

One sensor is drawn with its components as the network sees them, the vertical's spectrogram, the
probabilities that decide and the picks with their uncertainties. Several make a record section: by
distance from the epicentre with --event and --stations-xml, else by S minus P, or by the first P.
"""
_LEFT_OUT = ("max_batch_delay_s", "batch_size", "snr_amplitudes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the subcommand."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "inputs",
        nargs="+",
        type=Path,
        metavar="INPUT",
        help="waveform files, folders, an SDS root or a list file, as scan has them",
    )
    add_options(
        parser,
        {
            "--out -o FILE": "the picture: .png .pdf .svg and others (default: picks.png)",
            "--start TIME": "draw from this UTC time on; what is before it is read for the "
            "network's memory",
            "--end TIME": "draw up to this UTC time; a picture has room for 6 hours",
            "--event EVENT": "the earthquake: a file, QuakeML, SCML or CSV, whose largest one in "
            "the time of the data counts; or TIME,LATITUDE,LONGITUDE",
            "--stations-xml FILE ...": "StationXML or SCML inventory with the stations' positions",
            "--section": "draw a record section, also of one sensor",
        },
    )
    add_selection_options(parser)
    add_model_options(parser)
    add_setting_options(parser, defaults=UNHURRIED, leave_out=_LEFT_OUT)


def run(options: argparse.Namespace) -> int:
    """Draw; return the exit status."""
    settings = settings_from_options(options)
    from scperformer.cli.loading import load_model  # noqa: PLC0415 - slow to import
    from scperformer.door.picker import Picker  # noqa: PLC0415
    from scperformer.picks.plots import new_figure, picture_format, save_figure  # noqa: PLC0415

    path = options.out or Path("picks.png")
    picture_format(new_figure((1.0, 1.0)), path)  # before anything is read
    picker = Picker(load_model(options), _changed(settings))
    figure = picker.plot(
        options.inputs,
        event=_event(options.event),
        stations_xml=options.stations_xml or None,
        section=options.section or None,
        start=parse_time_option("--start", options.start),
        end=parse_time_option("--end", options.end),
        **{
            word: getattr(options, word) for word in ("stations", "network", "location", "channels")
        },
    )
    save_figure(figure, path)
    print(f"written: {path}")
    return 0


def _changed(settings: Settings) -> dict[str, Any]:
    return {
        info.name: value
        for info in settings_of(Settings)
        if (value := getattr(settings, info.name)) != info.default
    }


def _event(text: str | None) -> Any:
    """Read ``TIME,LATITUDE,LONGITUDE``; what is not of that form is a file."""
    if text is None or text.count(",") != 2 or Path(text).exists():
        return text
    time, *place = text.split(",")
    try:
        return time, *map(float, place)
    except ValueError:
        raise ConfigurationError(
            f"--event: got {text!r}; wanted a file, or TIME,LATITUDE,LONGITUDE"
        ) from None
