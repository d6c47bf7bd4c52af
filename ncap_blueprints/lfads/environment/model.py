"""The network: encoders, controller, generator, factors, readout (Pandarinath et al. 2018, Sussillo et al. 2016).

    z   ~ q(z | x) = N(mu, diag(s^2)), from the last states of a bidirectional GRU over the spikes x
    g_0 = W z + b                                    initial state of the generator
    c_t = GRU(c_{t-1}, [e_t, f_{t-1}])               controller, e a second bidirectional GRU over x
    u_t ~ q(u_t | x) = N(mu(c_t), diag(s(c_t)^2))    inferred inputs
    g_t = GRU(g_{t-1}, [u_t, v_t])                   generator, v inputs that are known
    f_t = W_f g_t                                    factors; the rows of W_f have length 1
    rates_t = exp(W_r f_t + b_r)                     Poisson; Gaussian: mean_t = W_r f_t + b_r, a variance each neuron

Without inferred inputs (no controller) the generator runs on its own and is one fused GRU. It must not know where data
come from, nor what is minimised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE = -10.0, 10.0
"""Bounds of a posterior's log-variance: a posterior without spread stops learning."""
GREATEST_LOG_RATE = 10.0
"""exp(10) = 22,026 spikes a bin; keeps an early step of the training finite."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of neurons and units. `seen`: neurons the encoders read, the first ones of `neurons`."""

    neurons: int
    seen: int
    enc_dim: int
    ic_dim: int
    gen_dim: int
    fac_dim: int
    con_dim: int
    co_dim: int
    ext_dim: int


@dataclass(frozen=True)
class Posterior:
    """What the encoders and the controller infer of a batch: means and log-variances, and one draw of the inputs.

    `ic_*`: batch x ic_dim; `co_*` and `inputs`: batch x time x co_dim, None without a controller.
    """

    ic_mean: Tensor
    ic_log_variance: Tensor
    co_mean: Tensor | None = None
    co_log_variance: Tensor | None = None
    inputs: Tensor | None = None


@dataclass(frozen=True)
class Output:
    """What comes out of the readout and the factors: batch x time x neurons, and batch x time x fac_dim."""

    readout: Tensor
    factors: Tensor


class Lfads(nn.Module):
    """The network for one recording. `offset` (neurons): the readout's start, log of the mean rate or the mean."""

    def __init__(self, sizes: Sizes, *, offset: Tensor, dropout: float) -> None:
        super().__init__()
        self.sizes = sizes
        self.dropout = nn.Dropout(dropout)
        self.ic_encoder = Encoder(sizes.seen, sizes.enc_dim)
        self.ic = nn.Linear(2 * sizes.enc_dim, 2 * sizes.ic_dim)
        self.start = nn.Linear(sizes.ic_dim, sizes.gen_dim)
        self.generator = nn.GRU(max(1, sizes.co_dim + sizes.ext_dim), sizes.gen_dim, batch_first=True)
        self.factor_weights = nn.Parameter(torch.randn(sizes.fac_dim, sizes.gen_dim))
        self.readout = nn.Linear(sizes.fac_dim, sizes.neurons)
        with torch.no_grad():
            self.readout.bias.copy_(offset)
        self.noise_log_variance = nn.Parameter(torch.zeros(sizes.neurons))
        if sizes.co_dim:
            self.co_encoder = Encoder(sizes.seen, sizes.enc_dim)
            self.controller = nn.GRUCell(2 * sizes.enc_dim + sizes.fac_dim, sizes.con_dim)
            self.controller_start = nn.Parameter(torch.zeros(1, sizes.con_dim))
            self.co = nn.Linear(sizes.con_dim, 2 * sizes.co_dim)
            self.prior = InputPrior(sizes.co_dim)

    def forward(self, x: Tensor, known: Tensor | None, *, sampled: bool) -> tuple[Posterior, Output]:
        """`x`: batch x time x seen, `known`: batch x time x ext_dim. Not `sampled`: the posterior's means are used."""
        ic = self.ic(self.dropout(self.ic_encoder.ends(x)))
        ic_mean, ic_log_variance = split_gaussian(ic)
        state = self.start(draw(ic_mean, ic_log_variance, sampled=sampled))
        if self.sizes.co_dim:
            return self._controlled(x, known, (ic_mean, ic_log_variance), state, sampled=sampled)
        inputs = x.new_zeros(*x.shape[:2], 1) if known is None else known
        states, _ = self.generator(inputs, state[None].contiguous())
        return Posterior(ic_mean, ic_log_variance), self._read(states)

    def _controlled(
        self, x: Tensor, known: Tensor | None, ic: tuple[Tensor, Tensor], state: Tensor, *, sampled: bool
    ) -> tuple[Posterior, Output]:
        """Controller and generator step by step, because each reads the other's last state."""
        weights = (self.generator.weight_ih_l0, self.generator.weight_hh_l0)
        biases = (self.generator.bias_ih_l0, self.generator.bias_hh_l0)
        to_factors = self.normalised_factor_weights()
        code = self.dropout(self.co_encoder.states(x))
        control = self.controller_start.expand(len(x), -1)
        states, means, log_variances, drawn = [], [], [], []
        for t in range(x.shape[1]):
            factors = functional.linear(self.dropout(state), to_factors)
            control = self.controller(torch.cat([code[:, t], factors], 1), control)
            mean, log_variance = split_gaussian(self.co(self.dropout(control)))
            u = draw(mean, log_variance, sampled=sampled)
            v = u if known is None else torch.cat([u, known[:, t]], 1)
            state = torch.gru_cell(v, state, *weights, *biases)
            for kept, value in zip((states, means, log_variances, drawn), (state, mean, log_variance, u), strict=True):
                kept.append(value)
        posterior = Posterior(*ic, *(torch.stack(kept, 1) for kept in (means, log_variances, drawn)))
        return posterior, self._read(torch.stack(states, 1))

    def normalised_factor_weights(self) -> Tensor:
        """W_f with rows of length 1: the scale of a factor is the readout's to choose."""
        return functional.normalize(self.factor_weights, dim=1)

    def _read(self, states: Tensor) -> Output:
        factors = functional.linear(self.dropout(states), self.normalised_factor_weights())
        return Output(self.readout(factors), factors)

    def recurrent_weights(self) -> tuple[Tensor, Tensor | None]:
        """The matrices the L2 penalty is on: the generator's, and the controller's if there is one."""
        return self.generator.weight_hh_l0, self.controller.weight_hh if self.sizes.co_dim else None

    def described(self) -> dict[str, int]:
        """Numbers of units, as they are written with a checkpoint."""
        return asdict(self.sizes)


class Encoder(nn.Module):
    """A bidirectional GRU whose initial states are learnt."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.gru = nn.GRU(inputs, units, batch_first=True, bidirectional=True)
        self.first = nn.Parameter(torch.zeros(2, 1, units))

    def _run(self, x: Tensor) -> tuple[Tensor, Tensor]:
        states, last = self.gru(x, self.first.expand(-1, len(x), -1).contiguous())
        return states, last

    def ends(self, x: Tensor) -> Tensor:
        """The last state of either direction side by side: batch x 2 units."""
        return torch.cat(tuple(self._run(x)[1]), 1)

    def states(self, x: Tensor) -> Tensor:
        """All states: batch x time x 2 units."""
        return self._run(x)[0]


class InputPrior(nn.Module):
    """An autoregressive prior of the inferred inputs, each on its own; time constant and variance are learnt.

    u_1 ~ N(0, v);  u_t = a u_{t-1} + N(0, v (1 - a^2)), a = exp(-1 / tau): the variance is v at all times.
    """

    def __init__(self, inputs: int, *, tau_bins: float = 10.0, variance: float = 0.1) -> None:
        super().__init__()
        self.log_tau = nn.Parameter(torch.full((inputs,), tau_bins).log())
        self.log_variance = nn.Parameter(torch.full((inputs,), variance).log())

    def before(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of each input given the one before: batch x time x inputs, and time x inputs."""
        keep = torch.exp(-torch.exp(-self.log_tau))
        mean = functional.pad(keep * inputs[:, :-1], (0, 0, 1, 0))
        later = self.log_variance + torch.log1p(-keep.square())
        log_variance = torch.cat([self.log_variance[None], later.expand(inputs.shape[1] - 1, -1)])
        return mean, log_variance


def split_gaussian(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance out of one layer's output, the latter within bounds."""
    mean, log_variance = values.chunk(2, -1)
    return mean, log_variance.clamp(LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE)


def draw(mean: Tensor, log_variance: Tensor, *, sampled: bool) -> Tensor:
    """A draw from a Gaussian that gradients pass through (Kingma and Welling 2014), or its mean."""
    return mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance) if sampled else mean
