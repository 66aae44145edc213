"""What a single waveform file holds: its channels, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from scperformer.errors import InputError
from scperformer.types import Record, SeedId
from scperformer.waveforms import foreign, mseed
from scperformer.waveforms.cutting import cut_records
from scperformer.waveforms.packed import WaveformSource, open_source
from scperformer.waveforms.problems import InputProblem, Report, log_problem, problem_from_os
from scperformer.waveforms.reading import ChannelFile

_WAVEFORMS = "a miniSEED file"
_NAMED = "waveforms, or a list of waveform files"
_UNCUT_S = 1e9


@dataclass(frozen=True, slots=True)
class FileContents:
    """What is known of a file.

    Attributes:
        channels: its channels with station and channel code.
        texts: its channels that hold text.
        problems: what is wrong.
        is_waveforms: it is of a known format, however damaged.
    """

    channels: tuple[ChannelFile, ...]
    texts: tuple[SeedId, ...]
    problems: tuple[InputProblem, ...]
    is_waveforms: bool


def look_into(path: Path, *, named: bool) -> FileContents:
    """Look into a file; nothing raises.

    Args:
        path: the file.
        named: the user named it: then it may be of any format, and must hold something.
            Otherwise it was found in a folder and is expected to be miniSEED.
    """
    try:
        if path.stat().st_size == 0 and path.is_file():
            return _unusable(InputProblem(path, "empty (0 bytes)", _WAVEFORMS))
        source = open_source(path)
        return _of_source(source, named=named)
    except InputError as error:
        return _unusable(InputProblem(path, str(error), _WAVEFORMS))
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        fault = error if isinstance(error, OSError) else OSError(str(error))
        return _unusable(problem_from_os(path, fault))


def _unusable(problem: InputProblem) -> FileContents:
    return FileContents((), (), (problem,), is_waveforms=False)


def read_whole(path: Path, *, report: Report = log_problem) -> list[Record]:
    """Read all samples of a file at once, cut at gaps alone.

    Args:
        path: of any format.
        report: hears of what is wrong with it; what is not wrong is used.

    Raises:
        OSError: it cannot be read.
        InputError: it cannot be used at all.
    """
    source = open_source(path)
    contents = _of_source(source, named=True)
    for problem in contents.problems:
        report(problem)
    for seed_id in contents.texts:
        report(InputProblem(path, f"{seed_id} left out: text, no samples", ""))
    seed_ids = {file.seed_id for file in contents.channels}
    if contents.channels and contents.channels[0].is_mseed:
        whole = mseed.Block(0, source.place.stat().st_size, 0, 0)
        decoded, damages, _ = mseed.read_block(source.place, seed_ids, whole)
        if not contents.channels[0].thorough:
            damages += mseed.find_blocks(source.place, seed_ids)[1]
        if (damage := mseed.damage_problem(path, damages)) is not None:
            report(damage)
    else:
        decoded = foreign.read_channels(source.place, seed_ids) if seed_ids else []
    return [record for one in decoded for record in cut_records(one, record_s=_UNCUT_S)]


def _of_source(source: WaveformSource, *, named: bool) -> FileContents:
    path = source.path
    problems = []
    if source.fault:
        problems.append(InputProblem(path, source.fault, "a whole file"))
    contents = mseed.look_into(source.place)
    spans = contents.spans
    if contents.problem is not None and contents.is_mseed:
        problems.append(replace(contents.problem, path=path))
    if not contents.is_mseed:
        spans = foreign.look_into(source.place) if named else []
    is_waveforms = contents.is_mseed or bool(spans)
    if not is_waveforms and named:
        what = "not miniSEED, of no other format that is read here, and no list of files that exist"
        problems.append(InputProblem(path, what, _NAMED))
    elif not is_waveforms:
        problems.append(InputProblem(path, "not miniSEED", f"{_WAVEFORMS}; name others one by one"))
    elif named and not spans and not problems:
        problems.append(InputProblem(path, "no samples in it", "waveforms"))
    channels = []
    for span in spans:
        seed_id, times_ns = span.seed_id, (span.start_ns, span.end_ns)
        if seed_id.station and seed_id.channel:
            how = contents.is_mseed, contents.thorough
            channels.append(ChannelFile(path, seed_id, span.sampling_rate_hz, *times_ns, *how))
        else:
            what = f"samples without station or channel code ({seed_id})"
            problems.append(InputProblem(path, what, "codes in the header"))
    return FileContents(tuple(channels), tuple(contents.texts), tuple(problems), is_waveforms)
