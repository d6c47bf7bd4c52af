"""Two circuit models of Bittner et al. 2021, simulated by Euler steps, with gradients by the steps in reverse.

Activities have shape (populations, samples, trials): the four populations first, because every step couples them. It
must not know flows or files.
"""

from __future__ import annotations

import numpy as np
from models import Model, PullBack, Quantity

V1_W = np.array(
    [
        [0.218, -0.119, -0.0594, -0.0229],
        [0.166, -0.0651, -0.068, -0.0242],
        [0.0895, -5.22e-4, -1.51e-5, -0.0761],
        [0.334, -0.231, -0.0254, -2.52e-5],
    ]
)
"""Connections of V1 onto (rows) and from (columns) E, P, S, V cells; equation 74."""
V1_BASELINE = np.array([4.16, 4.29, 4.91, 4.86])
V1_CONTRAST = np.array([3.59, 4.03, 0.0, 0.0])
"""Input without a stimulus and its gain with contrast; equations 75 and 76."""
V1_TAU_MS, V1_TAU_NOISE_MS, V1_STEP_MS = 1.0, 5.0, 0.5
V1_STEPS, V1_FROM = 200, 150
"""Euler steps (100 ms), and the one from which the standard deviation is taken (75 ms)."""
V1_START_HZ = (10.0, 25.0)
SMALLEST_VARIANCE = 1e-6
"""Hz^2, inside the square root of the standard deviation."""

SC_OFFSET, SC_WIDTH = 0.05, 0.5
"""Position and width of the activation; after equation 87."""
SC_TAU_S, SC_STEP_S, SC_STEPS = 0.09, 0.024, 75
SC_RULE_UNTIL_S, SC_LIGHT_UNTIL_S = 1.2, 1.5
SC_CONSTANT, SC_PRO_BIAS, SC_RULE, SC_CHOICE, SC_LIGHT = 0.75, 0.5, 0.6, 0.25, 0.5
SC_STEEPNESS = 100.0
"""Of the sigmoid that stands for the step of a decision; equation 102."""
SC_CONNECTIONS = np.array([[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]])
"""Which of sW, vW, hW, dW connects each pair of left Pro, left Anti, right Pro, right Anti; equation 90."""


def simulate_v1(z: np.ndarray, random: np.random.Generator, trials: int) -> tuple[np.ndarray, PullBack]:
    """Standard deviation (Hz) of the excitatory rate in time, the mean of `trials`; stochastic supralinear network.

    Equations 68 to 77: tau dx/dt = -x + [W x + h + e]_+^2, h = h_b + contrast h_c, e an Ornstein-Uhlenbeck process of
    standard deviation sigma sqrt(1 + tau / tau_noise) in each population. `z` has sigma of E, P, S, V, then contrast.
    """
    shape = (4, len(z), trials)
    unit = _ornstein_uhlenbeck(shape, random)
    sigma = z[:, :4].T[:, :, None]
    drive = (V1_BASELINE[:, None] + V1_CONTRAST[:, None] * z[:, 4])[:, :, None]
    ratio = V1_STEP_MS / V1_TAU_MS
    x = random.uniform(*V1_START_HZ, shape)
    inputs, excitatory = [], []
    for step in range(V1_STEPS):
        above = np.maximum(np.tensordot(V1_W, x, 1) + drive + sigma * unit[step], 0)
        inputs.append(above)
        x = x + ratio * (np.square(above) - x)
        if step >= V1_FROM:
            excitatory.append(x[0])
    rates = np.stack(excitatory)
    apart = rates - rates.mean(0)
    spread = np.sqrt(np.square(apart).mean(0) + SMALLEST_VARIANCE)

    def pull_back(gradient: np.ndarray) -> np.ndarray:
        by_rate = gradient[:, :1] / trials * apart / (len(rates) * spread)
        x_gradient = np.zeros(shape)
        sigma_gradient, drive_gradient = np.zeros((4, len(z))), np.zeros((4, len(z)))
        for step in reversed(range(V1_STEPS)):
            if step >= V1_FROM:
                x_gradient[0] += by_rate[step - V1_FROM]
            by_input = x_gradient * (2 * ratio) * inputs[step]
            sigma_gradient += (by_input * unit[step]).sum(2)
            drive_gradient += by_input.sum(2)
            x_gradient = (1 - ratio) * x_gradient + np.tensordot(V1_W.T, by_input, 1)
        return np.concatenate([sigma_gradient.T, (V1_CONTRAST @ drive_gradient)[:, None]], 1)

    return spread.mean(1)[:, None], pull_back


def _ornstein_uhlenbeck(shape: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
    """(steps, *shape): the noise of V1 for sigma 1, from its stationary distribution; exact at every step."""
    deviation = np.sqrt(1 + V1_TAU_MS / V1_TAU_NOISE_MS)
    kept = np.exp(-V1_STEP_MS / V1_TAU_NOISE_MS)
    noise = random.normal(size=(V1_STEPS, *shape)) * deviation
    for step in range(1, V1_STEPS):
        noise[step] = kept * noise[step - 1] + np.sqrt(1 - kept**2) * noise[step]
    return noise


def simulate_colliculus(z: np.ndarray, random: np.random.Generator, trials: int) -> tuple[np.ndarray, PullBack]:
    """Share of right decisions in the Pro and the Anti task (stimulus on the left), each the mean of `trials`.

    Equations 87 to 102: tau du/dt = -u + W x + h + noise, x = tanh((u - a) / b) / 2 + 1 / 2, decided by the Pro cells'
    activities after 1.8 s. `z` has sW, vW, hW, dW, then the standard deviation of the noise. The left Pro cells win in
    a right decision of the Pro task, the right ones of the Anti task.
    """
    tasks = [_simulate_task(z, random, trials, anti=anti) for anti in (False, True)]

    def pull_back(gradient: np.ndarray) -> np.ndarray:
        return sum((back(gradient[:, index]) for index, (_, back) in enumerate(tasks)), np.zeros_like(z))

    return np.stack([share for share, _ in tasks], 1), pull_back


def _simulate_task(
    z: np.ndarray, random: np.random.Generator, trials: int, *, anti: bool
) -> tuple[np.ndarray, PullBack]:
    weights = z[:, SC_CONNECTIONS]
    drive = _task_drive(anti=anti)
    noise = random.normal(size=(SC_STEPS, 4, len(z), trials))
    ratio = SC_STEP_S / SC_TAU_S
    amount = z[None, :, 4, None]
    u = np.zeros((4, len(z), trials))
    activities = [_activation(u)]
    for step in range(SC_STEPS):
        given = np.einsum("nij,jnt->int", weights, activities[-1]) + drive[step][:, None, None] + amount * noise[step]
        u = u + ratio * (given - u)
        activities.append(_activation(u))
    winner, loser = (2, 0) if anti else (0, 2)
    margin = np.clip(SC_STEEPNESS * (activities[-1][winner] - activities[-1][loser]), -500, 500)
    right = 1 / (1 + np.exp(-margin))

    def pull_back(gradient: np.ndarray) -> np.ndarray:
        by_margin = gradient[:, None] / trials * SC_STEEPNESS * right * (1 - right)
        x_gradient = np.zeros_like(u)
        x_gradient[winner], x_gradient[loser] = by_margin, -by_margin
        u_gradient = np.zeros_like(u)
        by_weights, by_amount = np.zeros((len(z), 4, 4)), np.zeros(len(z))
        for step in reversed(range(SC_STEPS)):
            after, before = activities[step + 1], activities[step]
            # The slope of the activation is 2 x (1 - x) / b.
            u_gradient = u_gradient + x_gradient * (2 / SC_WIDTH) * after * (1 - after)
            by_given = ratio * u_gradient
            by_weights += np.einsum("int,jnt->nij", by_given, before)
            by_amount += (by_given * noise[step]).sum((0, 2))
            x_gradient = np.einsum("nij,int->jnt", weights, by_given)
            u_gradient = (1 - ratio) * u_gradient
        kinds = [by_weights[:, kind == SC_CONNECTIONS].sum(1) for kind in range(4)]
        return np.stack([*kinds, by_amount], 1)

    return right.mean(1), pull_back


def _activation(u: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh((u - SC_OFFSET) / SC_WIDTH) + 0.5


def _task_drive(*, anti: bool) -> np.ndarray:
    """Input (steps, populations) of a trial with the stimulus on the left; equations 91 to 97."""
    time = SC_STEP_S * np.arange(1, SC_STEPS + 1)[:, None]
    rule, choice = time <= SC_RULE_UNTIL_S, time > SC_RULE_UNTIL_S
    pro, left = np.array([1.0, 0, 1, 0]), np.array([1.0, 1, 0, 0])
    told = 1 - pro if anti else pro
    light = choice & (time < SC_LIGHT_UNTIL_S)
    return SC_CONSTANT + SC_PRO_BIAS * pro + SC_RULE * rule * told + SC_CHOICE * choice + SC_LIGHT * light * left


V1 = Model(
    "Primary visual cortex: stochastic stabilized supralinear network",
    {
        **{
            f"sigma_{name}": Quantity("1", f"standard deviation of the noise into {kind} cells", 0, 0.5, least=0)
            for name, kind in (("E", "excitatory"), ("P", "parvalbumin"), ("S", "somatostatin"), ("V", "VIP"))
        },
        "contrast": Quantity("1", "contrast of the stimulus", 0, 1, value=0.5, least=0, most=1),
    },
    {"excitatory_sd": Quantity("Hz", "standard deviation in time of the excitatory rate", least=0)},
    simulate_v1,
)

COLLICULUS = Model(
    "Superior colliculus: rapid task switching",
    {
        **{
            name: Quantity("1", f"{kind} connection", -5, 5)
            for name, kind in (("sW", "self"), ("vW", "vertical"), ("hW", "horizontal"), ("dW", "diagonal"))
        },
        "noise": Quantity("1", "standard deviation of the noise", 0, 1, value=0.2, least=0),
    },
    {
        "pro_accuracy": Quantity("1", "share of right decisions in the Pro task", least=0, most=1),
        "anti_accuracy": Quantity("1", "share of right decisions in the Anti task", least=0, most=1),
    },
    simulate_colliculus,
)
