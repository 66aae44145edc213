"""How many examples a property test tries: few by default, many with HYPOTHESIS_PROFILE=thorough.

HYPOTHESIS_PROFILE=thorough nice python -m pytest tests/property
"""

import os

from hypothesis import HealthCheck, settings

DEFAULT, THOROUGH = "default", "thorough"
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", DEFAULT)
THOROUGH_EXAMPLES = int(os.environ.get("SCPERFORMER_EXAMPLES", "500"))

_RELAXED = {
    "deadline": None,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
    "print_blob": True,
}


def register() -> None:
    """Make the profiles known and load the one that is asked for."""
    settings.register_profile(DEFAULT, settings(**_RELAXED))
    settings.register_profile(THOROUGH, settings(max_examples=THOROUGH_EXAMPLES, **_RELAXED))
    settings.load_profile(PROFILE)


def examples(n: int) -> settings:
    """Settings of a test that tries `n` examples, or as many as the thorough profile wants."""
    return settings(max_examples=max(n, THOROUGH_EXAMPLES) if PROFILE == THOROUGH else n)
