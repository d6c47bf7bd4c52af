"""Noise, decay and deconvolution of single traces: OASIS for autoregressive models of order 1 and 2.

    y[t] = c[t] + b + noise,   c[t] = sum_i g[i] c[t-i] + s[t],   s >= 0

Friedrich, Zhou and Paninski 2017, PLoS Computational Biology 13:e1005423 (algorithm 1 and its extension to AR(p));
the constrained form, sparsest activity within the noise, after Pnevmatikakis et al. 2016, Neuron 89:285. It must not
know pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LAGS = 5
MAX_RUNS = 8
"""Runs of OASIS to find the penalty at which the residual is as large as the noise."""


@dataclass(frozen=True)
class Trace:
    """A denoised trace. `calcium` and `spikes` (frames,) in the units of y; `ar` the coefficients g; `noise` an sd."""

    calcium: np.ndarray
    spikes: np.ndarray
    baseline: float
    ar: tuple[float, ...]
    noise: float


def noise_sd(traces: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of traces (..., frames): mean power of the upper half of all frequencies."""
    frames = traces.shape[-1]
    spectrum = np.fft.rfft(traces - traces.mean(-1, keepdims=True), axis=-1)[..., frames // 4 + 1 : (frames + 1) // 2]
    return np.sqrt(np.square(np.abs(spectrum)).mean(-1) / frames)


def ar_coefficients(y: np.ndarray, noise: float, *, p: int, decay_frames: float) -> tuple[float, ...]:
    """g from the autocovariance of y less the noise at lag 0, kept within a factor 3 of the indicator's decay.

    Order 2 has two real roots, decay and rise; where data say otherwise the rise is a tenth of the decay.
    """
    centred = y - y.mean()
    covariance = np.array([centred[: len(y) - lag] @ centred[lag:] / len(y) for lag in range(LAGS + p + 1)])
    covariance[0] = max(covariance[0] - noise**2, 1e-12)
    lags = np.arange(1, LAGS + p + 1)
    design = covariance[np.abs(lags[:, None] - np.arange(1, p + 1)[None, :])]
    g = np.linalg.lstsq(design, covariance[lags], rcond=None)[0]
    fastest, slowest = np.exp(-3 / decay_frames), np.exp(-1 / (3 * decay_frames))
    if p == 1:
        return (float(np.clip(g[0], fastest, slowest)),)
    roots = np.roots([1, -g[0], -g[1]])
    if np.isreal(roots).all() and roots.real.min() > 0:
        decay = float(np.clip(roots.real.max(), fastest, slowest))
        rise = float(np.clip(roots.real.min(), 0, np.exp(-2 / decay_frames) * decay))
    else:
        decay, rise = np.exp(-1 / decay_frames), np.exp(-10 / decay_frames)
    return (decay + rise, -decay * rise)


def oasis(
    y: np.ndarray, ar: tuple[float, ...], *, penalty: float = 0.0, s_min: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """argmin over c of |c - y|^2 / 2 + penalty * sum(s) with s = 0 or s >= s_min; returns c and s, (frames,)."""
    # The penalty on s is one on c: sum(s) = sum over t of c[t] (1 - g1 - g2), with less at the end.
    weight = np.full(len(y), 1 - sum(ar))
    weight[-1] = 1.0
    if len(ar) == 2:
        weight[-2:] = (1 - ar[0], 1.0)
    target = (y - penalty * weight).tolist()
    calcium = _ar1(target, ar[0], s_min) if len(ar) == 1 else _ar2(target, (ar[0], ar[1]), s_min)
    spikes = calcium.copy()
    for lag, coefficient in enumerate(ar, start=1):
        spikes[lag:] -= coefficient * calcium[:-lag]
    spikes[np.abs(spikes) < 1e-9] = 0
    # What the trace starts with decays from before the recording; it is no spike of the first frame.
    spikes[: len(ar)] = 0
    return calcium, np.maximum(spikes, 0)


def _ar1(target: list[float], g: float, s_min: float) -> np.ndarray:
    """Pools of frames in which calcium only decays; neighbours merge while a spike between them would be too small."""
    value, weight, length = [], [], []
    power = np.power(g, np.arange(len(target) + 1)).tolist()
    for now in target:
        v, w, size = now, 1.0, 1
        while value and v < power[length[-1]] * value[-1] + s_min:
            decay = power[length[-1]]
            before = weight.pop()
            total = before + decay * decay * w
            v = (before * value.pop() + decay * w * v) / total
            w = total
            size += length.pop()
        value.append(v)
        weight.append(w)
        length.append(size)
    sizes = np.array(length)
    offset = np.arange(len(target)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(np.maximum(value, 0), sizes) * np.power(g, offset)


def _ar2(target: list[float], ar: tuple[float, float], s_min: float) -> np.ndarray:
    """As for order 1; within a pool calcium follows from its first value and the last of the pool before it.

    c[k] = head[k] * v + tail[k] * last, the free run of the recursion from (v, last).
    """
    frames = len(target)
    head, tail = np.zeros(frames + 1), np.zeros(frames + 1)
    head[0], tail[1:2] = 1.0, ar[1]
    if frames:
        head[1] = ar[0]
    for k in range(2, frames + 1):
        head[k] = ar[0] * head[k - 1] + ar[1] * head[k - 2]
        tail[k] = ar[0] * tail[k - 1] + ar[1] * tail[k - 2]
    squares = np.cumsum(head * head)
    y = np.array(target)
    first, value, last = [], [], []

    def solve(start: int, stop: int, previous: float) -> tuple[float, float]:
        size = stop - start
        v = float(head[:size] @ (y[start:stop] - tail[:size] * previous) / squares[size - 1])
        v = max(v, 0.0)
        return v, max(float(head[size - 1] * v + tail[size - 1] * previous), 0.0)

    for t in range(frames):
        start = t
        v, end = solve(start, t + 1, last[-1] if last else 0.0)
        while value:
            size = start - first[-1]
            before = last[-2] if len(last) > 1 else 0.0
            if v >= head[size] * value[-1] + tail[size] * before + s_min:
                break
            start = first.pop()
            value.pop()
            last.pop()
            v, end = solve(start, t + 1, before)
        first.append(start)
        value.append(v)
        last.append(end)
    calcium = np.empty(frames)
    for number, (start, stop) in enumerate(zip(first, [*first[1:], frames], strict=True)):
        before = last[number - 1] if number else 0.0
        calcium[start:stop] = head[: stop - start] * value[number] + tail[: stop - start] * before
    return np.maximum(calcium, 0)


def deconvolve(y: np.ndarray, *, p: int, decay_frames: float, s_min: float = 0.0) -> Trace:
    """Sparsest activity that leaves a residual as large as the noise; baseline and decay are estimated.

    p = 0: the trace above its baseline, unchanged. s_min > 0: spikes below it are left out, no penalty.
    """
    y = np.asarray(y, float)
    noise = float(noise_sd(y))
    baseline = float(np.percentile(y, 20)) + 0.6 * noise
    if p == 0 or noise == 0:
        above = np.maximum(y - baseline, 0)
        return Trace(above, np.maximum(np.diff(above, prepend=above[:1]), 0), baseline, (), noise)
    ar = ar_coefficients(y, noise, p=p, decay_frames=decay_frames)
    calcium, spikes = oasis(y - baseline, ar, s_min=s_min)
    low, high = 0.0, np.inf
    penalty = noise / 2
    for _ in range(0 if s_min else MAX_RUNS):
        calcium, spikes = oasis(y - baseline, ar, penalty=penalty)
        baseline = float((y - calcium).mean())
        excess = float(np.square(y - baseline - calcium).mean()) / noise**2 - 1
        if abs(excess) < 0.02:
            break
        low, high = (penalty, high) if excess < 0 else (low, penalty)
        penalty = 2 * low if high == np.inf else (low + high) / 2
    # The penalty makes transients too small by about one factor; least squares gives it back.
    spread = float(calcium.var())
    scale = max(float(np.mean((y - y.mean()) * calcium)) / spread, 1.0) if spread > 0 else 1.0
    baseline = float((y - scale * calcium).mean())
    return Trace(scale * calcium, scale * spikes, baseline, ar, noise)
