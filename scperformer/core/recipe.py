"""What makes two ways of picking different, in eight hexadecimal digits.

The digits end a pick's public id, so that two models, two sets of thresholds or two
agencies that pick the same arrival do not give out the same id. What changes no pick
(batches, delays, buffers, outputs) is not among it: a restart, a replay and a scan of the
archive give the ids that the stream gave.
"""

from __future__ import annotations

import hashlib
import json

from scperformer.config import DEFAULT_AUTHOR, Settings
from scperformer.core.triggers import Thresholds
from scperformer.setting import settings_of
from scperformer.types import Classifier

_NO_AGENCY = ("", "UNSET")
_DIGITS = 8


def recipe(
    classifier: Classifier,
    thresholds: Thresholds,
    settings: Settings,
    *,
    with_context: bool,
    owner: str = "",
) -> str:
    """Return the digits of a way of picking.

    Args:
        classifier: the network; its weights count, or its name where it has no checksum.
        thresholds: those in force.
        settings: of the sensor; those count that change picks and are not at their default.
        with_context: a context stage stands behind the network.
        owner: whose picks they are; see `owner`.
    """
    by_components = {n: list(pair) for n, pair in sorted(thresholds.by_components.items())}
    parts = [
        classifier.sha256 or classifier.name,
        by_components,
        _changed(settings),
        with_context,
        owner,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGITS]


def owner(agency: str, author: str) -> str:
    """Return whose picks they are: agency and author, as far as they have been set.

    An author's ``@host`` is left out: a stream that moves to another machine goes on.
    """
    own_agency = "" if agency in _NO_AGENCY else agency
    own_author = author.partition("@")[0]
    if own_author in ("", DEFAULT_AUTHOR):
        return own_agency
    return f"{own_agency}/{own_author}"


def _changed(settings: Settings) -> dict[str, object]:
    """Values that change picks and differ from the default, by key."""
    without_effect = set()
    if not settings.gap_interpolation:
        without_effect.add("max_gap_s")
    if not settings.trace_normalization:
        without_effect.add("trace_size_s")
    if settings.filter:
        without_effect.add("detrend")
    return {
        info.key: value
        for info in settings_of(Settings)
        if info.changes_picks and info.name not in without_effect
        if (value := getattr(settings, info.name)) != info.default
    }
