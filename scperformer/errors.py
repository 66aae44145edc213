"""The errors that scperformer raises.

    ScperformerError
    ├── ConfigurationError      settings, options, filter strings: wrong before anything runs
    ├── InputError              a file, folder, stream or data set that cannot be used
    │   └── RecordError         one record that cannot be used; a stream goes on without it
    ├── OutputError             a result that cannot be written
    └── ModelError              a model folder, weights file or custom loader
        ├── ManifestError       model.json is missing, unreadable or contradicts the weights
        └── WeightsError        a weights file is cut short, of another network or altered

Every message says what came, what was wanted and what to do.
"""


class ScperformerError(Exception):
    """Base of all errors that scperformer raises on purpose."""


class ConfigurationError(ScperformerError):
    """A setting, option or filter string is not usable.

    Attributes:
        faults: one sentence for each fault; all faults of a configuration come at once.
    """

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(faults))


class InputError(ScperformerError):
    """An input file, folder, stream or data set cannot be used."""


class RecordError(InputError):
    """One record cannot be used; the stream goes on without it."""


class OutputError(ScperformerError):
    """A result cannot be written."""


class ModelError(ScperformerError):
    """A model cannot be loaded."""


class ManifestError(ModelError):
    """A model's manifest is missing, unreadable or contradicts its weights."""


class WeightsError(ModelError):
    """A weights file is cut short, altered or belongs to another network."""
