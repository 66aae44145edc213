"""The memory of a scan depends on its sensors, not on how many picks there are."""

import json
import os
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

CODE = """
    import json, resource, sys
    from pathlib import Path

    from scperformer.scanning.tally import Tally
    from scperformer.picks.growing import open_growing
    from scperformer.scanning.work import PieceResult
    from scperformer.types import Phase, Pick, SeedId, SensorId
    from scperformer.waveforms.pieces import DAY_NS, Piece

    N_PICKS, N_A_PIECE, SENSORS = int(sys.argv[1]), 1000, 20
    outputs = [open_growing(Path(name), roll=Path(name).stem) for name in sys.argv[2:]]
    tally = Tally()
    most = []
    for number in range(N_PICKS // N_A_PIECE):
        day, place = divmod(number, SENSORS)
        sensor = SensorId("XX", f"S{place}", "", "HH")
        start_ns = (18_000 + day) * DAY_NS
        picks = [
            Pick(start_ns + i * (DAY_NS // N_A_PIECE), Phase.P, sensor.channel("Z"), 0.5)
            for i in range(N_A_PIECE)
        ]
        piece = Piece(sensor, start_ns, start_ns + DAY_NS, None)
        own = tally.take(piece, PieceResult(picks=picks))
        for output in outputs:
            output.write(own)
        most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    for output in outputs:
        output.close()
    print(json.dumps([tally.n_picks, most[len(most) // 5], most[-1]]))
"""


@pytest.mark.parametrize(
    ("n_picks", "names"),
    [(1_000_000, ("p.csv",)), (100_000, ("p.qml", "day.scml", "p.jsonl"))],
)
def test_picks_without_number_take_no_memory(tmp_path, n_picks, names):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CODE), str(n_picks), *names],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    n_written, early_kb, late_kb = json.loads(done.stdout)
    assert n_written == n_picks
    assert (tmp_path / names[0]).read_bytes().count(b"-P-XX.S") >= n_picks
    assert late_kb - early_kb < 20_000
