"""A pick that says everything, for tests to vary."""

from scperformer.types import Onset, Phase, Pick, Polarity, SeedId, parse_time

PICK = Pick(
    time_ns=parse_time("2021-04-01T12:35:55.66Z"),
    phase=Phase.P,
    seed_id=SeedId("IM", "NYSH", "00", "EHZ"),
    probability=0.9997605681,
    uncertainty_s=0.0213,
    snr=17.25,
    polarity=Polarity.NEGATIVE,
    onset=Onset.IMPULSIVE,
    decision_delay_s=2.375,
    model="performer",
    model_sha256="0123456789abcdef" * 4,
    filter_id="RMHP(10)>>BW_HP(4,2)",
    n_components=3,
    recipe="0a1b2c3d",
)
