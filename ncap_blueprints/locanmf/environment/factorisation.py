"""Localised semi-nonnegative matrix factorisation (Saxena et al. 2020, doi 10.1371/journal.pcbi.1007791).

    min |Y - A C|^2   with A >= 0 and, for each component k,   sum_{p in region(k)} a_pk^2 >= L sum_p a_pk^2

Y = U V is never made: with V' = Q R' (R: r x r), Y = (U R) Q' and everything is done in r dimensions. The constraint is
reached by a penalty on the distance to the region, in hierarchical alternating least squares,

    a_k <- [a_k + (Y c_k' - A C c_k' - lambda_k d_region(k)) / |c_k|^2]_+ ,      C <- (A'A)^-1 A'Y ,

with lambda_k multiplied by a step as long as component k is not localised. It must not read or write files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from localisation import Regions, localised_share

STILL = 1e-3
"""Sweeps end when A moves by less than this share."""


@dataclass(frozen=True)
class Options:
    """How the factorisation is done; the names are the parameters'."""

    minrank: int
    maxrank: int
    loc_thresh: float
    r2_thresh: float
    maxiter_hals: int
    maxiter_lambda: int
    lambda_step: float
    lambda_init: float
    nonnegative_temporal: bool


@dataclass(frozen=True)
class LowRank:
    """The video over the pixels of the brain, Y = S Q': S (pixels, r), Q (frames, r) with orthonormal columns."""

    S: np.ndarray
    Q: np.ndarray


@dataclass(frozen=True)
class Factors:
    """A (pixels, K) with columns of norm 1, C (K, frames), `owners` (K) regions' indices, `lambdas` (K).

    `share` (K): how much of each component lies in its region. `r2` (R): of each region's variance over time.
    `raised`: how many times weights were raised, in all fits.
    """

    A: np.ndarray
    C: np.ndarray
    owners: np.ndarray
    lambdas: np.ndarray
    share: np.ndarray
    r2: np.ndarray
    raised: int


def low_rank(U: np.ndarray, V: np.ndarray) -> tuple[LowRank, float]:
    """Y = U V in r dimensions (U: pixels, r), scaled so that a pixel's mean power is 1, and that scale."""
    Q, R = np.linalg.qr(V.T.astype(np.float64))
    S = U @ R.T.astype(np.float32)
    scale = float(np.sqrt(np.mean(np.sum(S.astype(np.float64) ** 2, axis=1)))) or 1.0
    return LowRank(S / np.float32(scale), Q), scale


def factorise(video: LowRank, regions: Regions, options: Options, *, report: Callable[[str], None]) -> Factors:
    """Fit with `minrank` components a region, then one more where R2 is below `r2_thresh`, until none or `maxrank`."""
    ranks = np.full(len(regions.labels), min(options.minrank, options.maxrank))
    starts = [_leading(video.S[regions.inside(index)], options.maxrank) for index in range(len(ranks))]
    ranks = np.minimum(ranks, [len(start[1]) for start in starts])
    raised = 0
    while True:
        factors = _fit(video, regions, ranks, starts, options)
        raised += factors.raised
        short = (factors.r2 < options.r2_thresh) & (ranks < [len(start[1]) for start in starts])
        report(
            f"{int(ranks.sum())} components: R2 {np.nanmedian(factors.r2):.3f} (median of regions), at least"
            f" {100 * factors.share.min():.0f}% localised; {int(short.sum())} regions get one more."
        )
        if not short.any():
            return replace(factors, raised=raised)
        ranks = ranks + short


def _leading(Y: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Leading right singular vectors (rank, r) of a region and their singular values."""
    power, vectors = np.linalg.eigh((Y.T @ Y).astype(np.float64))
    order = np.argsort(power)[::-1][: min(rank, *Y.shape)]
    kept = order[power[order] > 1e-10 * max(float(power[order[0]]), 1e-300)] if len(order) else order
    kept = kept if len(kept) else order[:1]
    return vectors[:, kept].T, np.sqrt(np.maximum(power[kept], 0))


def start_region(Y: np.ndarray, right: np.ndarray, *, sweeps: int) -> np.ndarray:
    """Semi-nonnegative factorisation of one region alone from its singular vectors: A (region's pixels, rank)."""
    A = Y @ right.T.astype(np.float32)
    # A singular vector's sign is free: take the one with more of its energy above 0.
    up, down = (np.maximum(A, 0) ** 2).sum(0), (np.maximum(-A, 0) ** 2).sum(0)
    A = np.maximum(np.where(up >= down, A, -A), 0) + np.float32(1e-6)
    for _ in range(sweeps):
        A = _normalised(A)[0]
        C = _temporal(A, Y)
        sweep(A, Y @ C.T, C @ C.T, np.zeros_like(A))
    return A


def sweep(A: np.ndarray, projected: np.ndarray, gram: np.ndarray, penalty: np.ndarray) -> None:
    """One pass of the update above over all components, in place.

    `projected` Y C' (pixels, K), `gram` C C' (K, K), `penalty` lambda_k d (pixels, K). A component that would vanish
    stays as it is.
    """
    for k in range(A.shape[1]):
        if not gram[k, k] > 0:
            continue
        step = (projected[:, k] - A @ gram[:, k] - penalty[:, k]) / gram[k, k]
        moved = np.maximum(A[:, k] + step, 0)
        if moved.any():
            A[:, k] = moved


def _normalised(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norms = np.sqrt((A.astype(np.float64) ** 2).sum(0))
    norms = np.where(norms > 0, norms, 1.0)
    return (A / norms).astype(np.float32), norms


def _temporal(A: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """C = (A'A)^-1 A'Y, (K, r)."""
    gram = (A.T @ A).astype(np.float64)
    gram[np.diag_indices_from(gram)] += 1e-9 * max(float(np.trace(gram)), 1e-300) / len(gram)
    return np.linalg.solve(gram, (A.T @ Y).astype(np.float64)).astype(np.float32)


def _temporal_nonnegative(A: np.ndarray, video: LowRank, C: np.ndarray) -> np.ndarray:
    """One pass c_k <- [c_k + (a_k'Y - a_k'A C) / |a_k|^2]_+ over all components, (K, frames)."""
    gram = (A.T @ A).astype(np.float64)
    target = (A.T @ video.S).astype(np.float64) @ video.Q.T
    C = C.copy()
    for k in range(len(C)):
        C[k] = np.maximum(C[k] + (target[k] - gram[k] @ C) / max(gram[k, k], 1e-300), 0)
    return C


def _fit(
    video: LowRank,
    regions: Regions,
    ranks: np.ndarray,
    starts: list[tuple[np.ndarray, np.ndarray]],
    options: Options,
) -> Factors:
    owners = np.repeat(np.arange(len(ranks)), ranks)
    A = np.zeros((len(video.S), len(owners)), np.float32)
    for region, rank in enumerate(ranks.tolist()):
        inside = regions.inside(region)
        A[np.ix_(inside, owners == region)] = start_region(
            video.S[inside], starts[region][0][:rank], sweeps=options.maxiter_hals
        )
    A, _ = _normalised(A)
    lambdas = np.full(len(owners), options.lambda_init)
    C = _temporal(A, video.S)
    full = np.maximum(C @ video.Q.T, 0) if options.nonnegative_temporal else None
    raised = 0
    while True:
        penalty = (lambdas[:, None] * regions.distances[owners]).T.astype(np.float32)
        for _ in range(options.maxiter_hals):
            if full is None:
                C, gram = (current := _temporal(A, video.S)), current @ current.T
            else:
                full = _temporal_nonnegative(A, video, full)
                C, gram = (full @ video.Q).astype(np.float32), (full @ full.T).astype(np.float32)
            before = A.copy()
            sweep(A, video.S @ C.T, gram, penalty)
            A, _ = _normalised(A)
            if float(np.linalg.norm(A - before)) < STILL * float(np.linalg.norm(A)):
                break
        far = 100 * localised_share(A, owners, regions) < options.loc_thresh
        if raised == options.maxiter_lambda or not far.any():
            break
        lambdas[far] *= options.lambda_step
        raised += 1
    full = _temporal(A, video.S) @ video.Q.T if full is None else _temporal_nonnegative(A, video, full)
    r2 = region_r2(video, A, full, regions)
    return Factors(A, full, owners, lambdas, localised_share(A, owners, regions), r2, raised)


def region_r2(video: LowRank, A: np.ndarray, C: np.ndarray, regions: Regions) -> np.ndarray:
    """R2 of each region: 1 - variance over time of Y - A C over that of Y, all pixels together.

    With C = P Q' + rest, the part of the rest is |A rest|^2; means over time are taken off both.
    """
    frames = len(video.Q)
    mean = video.Q.mean(0)
    P = C @ video.Q
    rest = C - P @ video.Q.T
    spread = rest @ rest.T
    out = np.full(len(regions.labels), np.nan)
    for index in range(len(out)):
        inside = regions.inside(index)
        Y, own = video.S[inside].astype(np.float64), A[inside].astype(np.float64)
        left = Y - own @ P
        total = (Y**2).sum() - frames * ((Y @ mean) ** 2).sum()
        error = (left**2).sum() + (own @ spread * own).sum()
        error -= frames * ((Y @ mean - own @ C.mean(1)) ** 2).sum()
        out[index] = 1 - error / total if total > 0 else np.nan
    return out
