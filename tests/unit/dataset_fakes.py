"""Small data sets for the tests of `scperformer dataset` and of training from files."""

import csv

import h5py
import numpy as np

from tests.unit.training_fakes import arrival

CLASSES = ("P", "S", "noise")


def examples(n, seed=0):
    """Windows (n, 400, 3) that a network can tell apart, and their labels, P, S, noise in turn."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    windows = 0.05 * rng.standard_normal((n, 400, 3))
    shapes = ((12.0, [0.3, 0.3, 1.0]), (5.0, [2.0, 1.5, 0.4]))
    for number, label in enumerate(labels.tolist()):
        if label < 2:
            frequency_hz, polarisation = shapes[label]
            windows[number] += np.outer(arrival(400, 200, frequency_hz, rng), polarisation)
    windows /= np.abs(windows).max(axis=(1, 2), keepdims=True)
    return windows.astype(np.float32), labels


def write_windows(path, windows, labels, *, split=None, **options):
    """Write a file in the original program's format, with a split if there is one."""
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=windows, **options)
        file["Y"] = labels
        if split is not None:
            file["split"] = split
    return path


def write_seisbench(folder, rows, blocks, *, chunk="", order="ZNE", dimensions="CW", rate=None):
    """Write a chunk of a data set in SeisBench's layout.

    Args:
        folder: made if it is not there.
        rows: dictionaries, one a trace.
        blocks: arrays by name.
        chunk: name of the chunk.
        order, dimensions, rate: of the group ``data_format``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with h5py.File(folder / f"waveforms{chunk}.hdf5", "w") as file:
        for name, block in blocks.items():
            file[f"data/{name}"] = block
        file["data_format/component_order"] = order
        file["data_format/dimension_order"] = dimensions
        if rate is not None:
            file["data_format/sampling_rate"] = rate
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (folder / f"metadata{chunk}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder


def seisbench_rows(n, rate_hz=100.0, *, split=True):
    """Traces of 60 s with P at 20 s and S at 26 s, each third one noise."""
    rng = np.random.default_rng(0)
    block = np.empty((n, 3, round(60 * rate_hz)), np.float32)
    rows = []
    for number in range(n):
        noisy = number % 3 == 2
        time_s = np.arange(block.shape[2]) / rate_hz
        ground = 0.05 * rng.standard_normal((3, len(time_s)))
        if not noisy:
            for at, frequency, share in ((20, 12, [1.0, 0.3, 0.3]), (26, 5, [0.4, 2.0, 1.5])):
                after = np.maximum(time_s - at, 0.0)
                wave = np.sin(2 * np.pi * frequency * after) * np.exp(-after) * (time_s >= at)
                ground += np.outer(share, wave)
        block[number] = ground
        row = {
            "trace_name": f"bucket0${number},:3,:{block.shape[2]}",
            "trace_start_time": f"2020-01-01T00:{number:02}:00.5Z",
            "trace_sampling_rate_hz": rate_hz,
            "station_network_code": "XX",
            "station_code": f"S{number % 4}",
            "trace_channel": "HH",
            "source_id": "" if noisy else f"quake{number // 6}",
            "trace_Pg_arrival_sample": "" if noisy else 20 * rate_hz,
            "trace_S_arrival_sample": "" if noisy else 26 * rate_hz,
            "trace_category": "noise" if noisy else "earthquake",
        }
        if split:
            row["split"] = ("train", "dev", "test")[number % 6 // 2]
        rows.append(row)
    return rows, block
