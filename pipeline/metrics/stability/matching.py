"""One latent of an SAE for one of another, so that all pairs together are as alike as can be.

The assignment problem (Kuhn 1955, "the Hungarian method"), solved by SciPy. Alike is the mean of the
encoders' and the decoders' cosine (Paulo and Belrose 2025, 2501.16615).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pipeline.sae.core.inference import SAE


def cosines(a: SAE, b: SAE, alive_a: np.ndarray, alive_b: np.ndarray) -> np.ndarray:
    """(A, B): mean of encoder and decoder cosine of each latent `alive_a` of `a` with each of `b`."""
    sides = [
        normalize(first.cpu().double()[alive_a], dim=1) @ normalize(second.cpu().double()[alive_b], dim=1).T
        for first, second in ((a.W_enc.T, b.W_enc.T), (a.W_dec, b.W_dec))
    ]
    similar: np.ndarray = ((sides[0] + sides[1]) / 2).numpy()
    return similar


def assigned(similar: np.ndarray) -> np.ndarray:
    """(A,): the column of each row of `similar` (A, B) under the largest sum; -1 for rows left over."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similar, maximize=True)
    partner = np.full(len(similar), -1, dtype=np.int64)
    partner[rows] = columns
    return partner


def rotated(sae: SAE, alive: np.ndarray, seed: int) -> SAE:
    """`sae` with the directions of its latents turned at random: alike with another by chance alone (ours).

    With U (A, d) the unit rows of the latents `alive` and H = (U^T U)^(1/2), a unit row u becomes u H^+ R H,
    the encoder's and the decoder's with an H each. R is uniform over orthogonal matrices and the same for
    both, so that a latent's own two directions stay about as alike. Where U spans the space, U^T U is what it
    was: directions that many latents share are as crowded as before. Norms are lost: directions count alone.
    """
    generator = torch.Generator().manual_seed(seed)
    turn = _orthogonal(torch.randn(sae.d, sae.d, generator=generator))
    return replace(sae, W_enc=_turned(sae.W_enc.T, alive, turn).T, W_dec=_turned(sae.W_dec, alive, turn))


def _turned(rows: Tensor, alive: np.ndarray, turn: Tensor) -> Tensor:
    """(n, d) float64: u H^+ R H of the unit rows u of `rows` (n, d), R being `turn`; not of unit norm."""
    unit = normalize(rows.cpu().double(), dim=1)
    squared, axes = torch.linalg.eigh(unit[alive].T @ unit[alive])
    root = axes * squared.clamp_min(0).sqrt() @ axes.T
    return unit @ torch.linalg.pinv(root, hermitian=True) @ turn @ root


def _orthogonal(gaussian: Tensor) -> Tensor:
    """Uniform over rotations and reflections: QR with the signs of R's diagonal (Mezzadri 2007)."""
    q, r = torch.linalg.qr(gaussian.double())
    return q * r.diagonal().sign()
