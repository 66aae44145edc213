"""The settings of monitoring, which `scperformer stream` and the SeisComP module share."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scperformer.errors import ConfigurationError
from scperformer.setting import Range, check_settings, setting

_ADDRESS = re.compile(r"(?:(?P<host>[^\s:\[\]]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>\d{1,5})")
_LOOPBACK = "127.0.0.1"
_HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoringSettings:
    """What is told of a running picker, and how often; it changes no pick.

    Raises:
        ConfigurationError: with every fault, one sentence each.
    """

    # Rows, as in scperformer.config.
    # fmt: off
    metrics_file: str = setting(
        "", "File of metrics in Prometheus' text format, on a local disk, written anew again and "
        "again, for 'scperformer status' and the textfile collector; unset, none.",
        key="metrics.file", option="--metrics-file")
    metrics_interval_s: float = setting(
        10.0, "Least time between two writings of the metrics.",
        Range(0.1, 3600.0, "s"), key="metrics.interval", option="--metrics-interval")
    heartbeat_s: float = setting(
        60.0, "Time between two status lines in the log.",
        Range(0.1, 86400.0, "s"), key="heartbeat", option="--status-interval")
    silence_s: float = setting(
        300.0, "A station of which nothing has come for so long is told in the log as silent, "
        "once, and once more when its data come again; so are all stations together.",
        Range(0.1, 86400.0, "s"), key="silence", option="--silence")
    # fmt: on

    def __post_init__(self) -> None:
        check_settings(self)


def parse_address(text: str) -> tuple[str, int]:
    """Read ``[HOST:]PORT``; without a host it is this machine's loopback.

    Raises:
        ConfigurationError: neither.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > _HIGHEST_PORT:
        raise ConfigurationError(
            f"--metrics: got {text!r}; wanted PORT, or HOST:PORT such as 0.0.0.0:9108"
        )
    return (found["host"] or _LOOPBACK).strip("[]"), int(found["port"])
