"""The networks in plain NumPy, as the papers state them, to hold the quick arithmetic against."""

import numpy as np
from scipy.special import erf


def answers(network, weights, windows):
    """Probabilities (n, 3) float64 for windows (n, 400, 3)."""
    windows = np.asarray(windows, np.float64)
    peak = np.abs(windows).max(axis=(1, 2), keepdims=True)
    normal = windows / np.where(peak > 0, peak, 1.0)
    found = logits(network, weights, normal if network == "gpd" else spectrogram(normal))
    shares = np.exp(found - found.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def logits(network, weights, features):
    """Logits (n, 3) float64 for spectrograms (n, 22, 33, 3), or for normalised windows."""
    w = {path: np.asarray(value, np.float64) for path, value in weights.items()}
    compute = {"performer": _performer, "cnn": _cnn, "gpd": _gpd}[network]
    return compute(w, np.asarray(features, np.float64))


def spectrogram(normal):
    """Decibels over 50 of windows divided by their peaks, (n, 22, 33, 3)."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(64) / 64)
    frames = np.stack([normal[:, 16 * i : 16 * i + 64] for i in range(22)], axis=1)
    magnitude = np.abs(np.fft.rfft(frames * hann[:, None], axis=2))
    return 10 * np.log10(np.maximum(magnitude, 1e-5)) / 50


def _performer(w, values):
    patches = values.reshape(-1, 22, 11, 9).transpose(0, 2, 1, 3)
    tokens = _dense(w, "patch_embedding", patches.reshape(-1, 11, 198))
    first = np.broadcast_to(w["class_token/token"], (len(tokens), 1, 48))
    tokens = np.concatenate([first, tokens], axis=1) + w["position_embedding/embeddings"]
    for block in ("block_1", "block_2"):
        tokens = tokens + _attention(w, f"{block}/attention", _norm(w, f"{block}/norm", tokens))
        hidden = _gelu(_dense(w, f"{block}/dense_1", _norm(w, f"{block}/norm", tokens)))
        tokens = tokens + _gelu(_dense(w, f"{block}/dense_2", hidden))
    token = _norm(w, "norm", tokens[:, 0])
    for name in ("dense_1", "dense_2"):
        token = _gelu(_dense(w, name, token))
    return _dense(w, "logits", token)


def _attention(w, name, tokens):
    query, key, value = (
        np.einsum("bnd,dhk->bnhk", tokens, w[f"{name}/{part}/kernel"])
        for part in ("query", "key", "value")
    )
    query, key = (np.maximum(values, 0.0) + 1e-3 for values in (query, key))
    memory = np.einsum("bnhk,bnhv->bhkv", key, value)
    mixed = np.einsum("bnhk,bhkv->bnhv", query, memory)
    mixed /= np.einsum("bnhk,bhk->bnh", query, key.sum(axis=1))[..., None]
    return np.einsum("bnhk,hkd->bnd", mixed, w[f"{name}/output/kernel"])


def _cnn(w, values):
    for number in (1, 2, 3):
        values = _convolution(w, f"conv_{number}", values)
        values = np.maximum(_batch_norm(w, f"batch_norm_{number}", values), 0.0)
        values = _halved(_halved(values, 1), 2)
    values = np.maximum(_dense(w, "dense_1", values.reshape(len(values), -1)), 0.0)
    return _dense(w, "logits", values)


def _gpd(w, values):
    for number in (1, 2, 3, 4):
        values = np.maximum(_halved(_convolution(w, f"conv_{number}", values), 1), 0.0)
        values = _batch_norm(w, f"batch_norm_{number}", values)
    values = values.reshape(len(values), -1)
    for number in (1, 2):
        values = np.maximum(_dense(w, f"dense_{number}", values), 0.0)
        values = _batch_norm(w, f"batch_norm_{number + 4}", values)
    return _dense(w, "logits", values)


def _convolution(w, name, values):
    """Zeros around so that the size stays; any number of axes between first and last."""
    kernel = w[f"{name}/kernel"]
    sizes = kernel.shape[:-2]
    padded = np.pad(values, [(0, 0), *((size // 2, size // 2) for size in sizes), (0, 0)])
    total = w[f"{name}/bias"]
    for place in np.ndindex(sizes):
        part = tuple(slice(p, p + n) for p, n in zip(place, values.shape[1:-1], strict=True))
        total = total + padded[:, *part] @ kernel[place]
    return total


def _halved(values, axis):
    pairs = values.shape[axis] // 2
    even, odd = (values.take(range(start, 2 * pairs, 2), axis=axis) for start in (0, 1))
    return np.maximum(even, odd)


def _dense(w, name, values):
    return values @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def _norm(w, name, values):
    centred = values - values.mean(axis=-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return normal * w[f"{name}/gamma"] + w[f"{name}/beta"]


def _batch_norm(w, name, values):
    normal = (values - w[f"{name}/moving_mean"]) / np.sqrt(w[f"{name}/moving_variance"] + 1e-3)
    return normal * w[f"{name}/gamma"] + w[f"{name}/beta"]


def _gelu(values):
    return 0.5 * values * (1.0 + erf(values / np.sqrt(2.0)))
