"""The unit of the data does not matter."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from scperformer.core.statistics import DropReason
from scperformer.types import Record
from tests.profiles import examples
from tests.property.streams import Accounts
from tests.synthetic import earthquakes, make_pipeline, pick_all, records

N = 6000
WAVEFORM = earthquakes(N, (15.0, 38.0)) - 5000.0
STREAM = records(WAVEFORM, [range(500, N, 500)] * 3, dtype="f8")
PLAIN = pick_all(make_pipeline(), STREAM)


def scaled(by: float, dtype: str) -> list[Record]:
    return records(WAVEFORM * by, [range(500, N, 500)] * 3, dtype=dtype)


@examples(30)
@given(exponent=st.floats(-27.0, 10.0), dtype=st.sampled_from(["f4", "f8"]))
def test_picks_are_those_of_the_same_data_in_another_unit(exponent, dtype):
    pipeline = make_pipeline()
    picks = pick_all(pipeline, scaled(10.0**exponent, dtype))
    assert [(p.time_ns, p.phase, p.seed_id) for p in picks] == [
        (p.time_ns, p.phase, p.seed_id) for p in PLAIN
    ]
    np.testing.assert_allclose(
        [p.probability for p in picks], [p.probability for p in PLAIN], atol=1e-4
    )
    assert not pipeline.statistics.dropped_samples


def test_what_is_too_faint_is_told():
    accounts = Accounts()
    assert not pick_all(make_pipeline(accounts), scaled(1e-36, "f8"))
    assert accounts.total(DropReason.FAINT) == 3 * N
