"""Picks that inputs are made of."""

from scperformer.types import NS_PER_S, Onset, Phase, Pick, Polarity, SeedId

PICKS = tuple(
    Pick(
        time_ns=(1_600_000_000 + 7 * n) * NS_PER_S + 123_456_789,
        phase=(Phase.P, Phase.S)[n % 2],
        seed_id=SeedId("XX", "ABC", ("", "00")[n % 2], "HHZ"),
        probability=0.5 + 0.05 * n,
        uncertainty_s=0.1,
        snr=(3.25, float("nan"))[n % 2],
        polarity=(None, *Polarity)[n % 4],
        onset=list(Onset)[n % 3],
        decision_delay_s=2.08,
        model="rise",
        model_sha256="0" * 64,
        filter_id="BW_HP(4,2)",
        n_components=3,
    )
    for n in range(4)
)
