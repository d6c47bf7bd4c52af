"""What follows from latents: behavioural states (ARHMM) and the prediction of latents from neural activity.

Models are fitted on the training trials, strengths chosen on validation trials, figures taken on test trials. It must
not know how latents came about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from arhmm import Arhmm, fit_arhmm, infer, most_likely_states, sequences_of
from decoding import Decoder, fit_decoder
from inference import Encoded
from trials import TEST, TRAIN, VALIDATION, Trials


@dataclass(frozen=True)
class Segmented:
    """States of all trials, in order of how much of the training trials they take; the model of latents z-scored with
    `mean` and `scale`; figures."""

    states: list[np.ndarray]
    model: Arhmm
    mean: np.ndarray
    scale: np.ndarray
    scores: dict[str, float]


def segment(
    trials: Trials, encoded: Encoded, parameters: Mapping[str, Any], *, report: Callable[[str], None]
) -> Segmented | None:
    """The states of all frames; None where none are asked for."""
    if not parameters["n_arhmm_states"]:
        return None
    train, test = trials.of(TRAIN), trials.of(TEST)
    seen = encoded.over(train).astype(np.float64)
    mean, spread = seen.mean(0), seen.std(0)
    scale = np.where(spread > 1e-6, spread, 1.0)
    scaled = [(latents - mean) / scale for latents in encoded.latents]
    lags = parameters["n_arhmm_lags"]
    of_train = sequences_of([scaled[trial] for trial in train], lags)
    of_test = sequences_of([scaled[trial] for trial in test], lags)

    def fitted(states: int, restarts: int) -> Arhmm:
        own = {
            "kappa": parameters["kappa"],
            "n_iters": parameters["n_arhmm_iters"],
            "seed": parameters["rng_seed_model"],
        }
        say = report if states > 1 else (lambda line: None)
        return fit_arhmm(of_train, states, restarts=restarts, report=say, **own)[0]

    model = by_use(fitted(parameters["n_arhmm_states"], parameters["arhmm_restarts"]), of_train)
    frames = int(of_test.lengths.sum())
    held = float(infer(model, of_test).log_likelihood.sum()) / frames
    alone = float(infer(fitted(1, 1), of_test).log_likelihood.sum()) / frames
    scores = {"arhmm_log_likelihood_per_frame": held, "arhmm_gain_over_one_state": held - alone}
    states = most_likely_states(model, sequences_of(scaled, lags))
    return Segmented(states, model, mean, scale, scores)


def by_use(model: Arhmm, data: Any) -> Arhmm:
    """The same model with its states in order of use, most used first: numbers of states are otherwise arbitrary."""
    order = np.argsort(-infer(model, data).states.sum((0, 1)), kind="stable")
    return Arhmm(
        model.log_start[order],
        model.log_transition[np.ix_(order, order)],
        model.weights[order],
        model.noise[order],
    )


def decode_neural(
    trials: Trials, encoded: Encoded, parameters: Mapping[str, Any]
) -> tuple[Decoder, list[np.ndarray]] | None:
    """A decoder, and what it predicts for all trials; None without neural activity."""
    neural = trials.recording.neural
    if neural is None:
        return None
    decoder = fit_decoder(
        neural,
        encoded.latents,
        train=trials.of(TRAIN).tolist(),
        validation=trials.of(VALIDATION).tolist(),
        n_lags=parameters["n_decoder_lags"],
    )
    return decoder, [decoder.predict(activity) for activity in neural]
