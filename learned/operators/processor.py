"""The learned part between encoder and decoder: landmarks that exchange what they know of the data."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LandmarkProcessor(nn.Module):
    r"""Let landmarks exchange data, linearly in the data, with weights that depend on the geometry.

    .. math:: x_s = \sum_t K_c(s, t)\, (V h_t)_c,\qquad
              h_s \mathrel{+}= W_2\big(a(q_s) \odot W_1 [h_s, x_s]\big)

    where K is a kernel of the distance for each channel, times products of what the landmarks know of the geometry.
    So twice the data give twice the result, and sums of data give sums.

    Parameters
    ----------
    width
        Channels of what landmarks know of the geometry.
    channels
        Channels of the data.
    layers
        Exchanges.
    kinds
        Number of kernels of the distance.
    """

    def __init__(self, width: int, *, channels: int, layers: int, kinds: int):
        super().__init__()
        self.shares = nn.ParameterList([nn.Parameter(0.3 * torch.randn(kinds, channels)) for _ in range(layers)])
        self.value = nn.ModuleList([nn.Linear(channels, channels, bias=False) for _ in range(layers)])
        self.ends = nn.ModuleList([nn.Linear(width, 2 * channels) for _ in range(layers)])
        self.mix = nn.ModuleList([nn.Linear(2 * channels, 2 * channels, bias=False) for _ in range(layers)])
        self.gate = nn.ModuleList([nn.Linear(width, 2 * channels) for _ in range(layers)])
        self.back = nn.ModuleList([nn.Linear(2 * channels, channels, bias=False) for _ in range(layers)])

    def forward(self, kernels: Tensor, q: Tensor, h: Tensor) -> Tensor:
        """Return the data after all exchanges, shape (R, m, channels).

        Parameters
        ----------
        kernels
            Functions of the distance between landmarks, shape (kinds, R, R).
        q
            What they know of the geometry, shape (R, width).
        h
            Data, shape (R, m, channels).
        """
        # Rows sum to one: a mean over the landmarks around.
        means = kernels / kernels.sum(dim=2, keepdim=True)
        steps = zip(self.shares, self.value, self.ends, self.mix, self.gate, self.back, strict=True)
        for shares, value, ends, mix, gate, back in steps:
            one, other = (1.0 + ends(q)).chunk(2, dim=1)
            sent = value(h) * other[:, None]
            x = torch.einsum("kst,tmc,kc->smc", means, sent, shares) * one[:, None]
            h = h + back(mix(torch.cat([h, x], dim=2)) * (1.0 + gate(q))[:, None])
        return h
