"""The choice of a ridge penalty for each target: inner cross-validation without fitting a model a penalty.

The inner error of a penalty a is, up to a term that no penalty changes, |M F z|^2 - 2 q'F z with F = diag(1 / (s + a)),
z and M as in `_ridge`, and q = M'(y - mean of the training responses) over the held-out rows. Two forms of the first
term: few features, the quadratic form in the products z_j z_k, one matrix product for all penalties; many features, a
low-rank expansion of a -> 1 / (s + a), which needs about ten predictions where one for each penalty would be twenty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from affectlake._encoding_splits import Rows, Split
from affectlake._ridge import Decomposition, Design, RowSet, decompose

if TYPE_CHECKING:
    from torch import Tensor

FEW_FEATURES = 64  # up to here the quadratic form is the faster one
FILTER_TOLERANCE = 1e-5  # of the low-rank expansion; a filter lies between 0 and 1


class Selection:
    """Chooses the penalty of each target in one outer fold: least mean over inner folds of the mean squared error."""

    def __init__(self, design: Design, splits: Sequence[Split], fold: Rows, alphas: Tensor) -> None:
        import torch

        device = alphas.device
        self._base = design.base
        self._trains = [RowSet.of(s.train, fold, device) for s in splits]
        self._helds = [RowSet.of(s.held, fold, device) for s in splits]
        parts = [decompose(design, rows) for rows in self._trains]
        grams = [design.base.gram(rows) for rows in self._helds]
        self._project = torch.stack([d.project for d in parts]).float()
        self._n = torch.tensor([d.n for d in parts], device=device).float()[:, None, None]
        ones = [d.project @ g[:, -1] for d, g in zip(parts, grams, strict=True)]
        self._ones = torch.stack(ones).float()[:, :, None]
        few = self._project.shape[1] <= FEW_FEATURES
        self._forms: list[_Quadratic | _LowRank] = [
            _Quadratic(d, g, alphas) if few else _LowRank(d, design, s.held, alphas)
            for d, g, s in zip(parts, grams, splits, strict=True)
        ]

    def errors(self, cross: Tensor, responses: Tensor) -> Tensor:
        """Mean squared errors of each penalty, less what does not depend on it: float32[n_alphas, b].

        Parameters
        ----------
        cross : float32[n_folds, p + 1, b]
            `Base.cross` of the responses.
        responses : float32[n, b]
        """
        trains = self._base.cross_over(cross, self._trains, responses)
        helds = self._base.cross_over(cross, self._helds, responses)
        z = self._project @ trains
        q = self._project @ helds - self._ones * (trains[:, -1:] / self._n)
        total = self._forms[0](z[0], q[0])
        for form, z_k, q_k in zip(self._forms[1:], z[1:], q[1:], strict=True):
            total += form(z_k, q_k)
        return total / len(self._forms)


class _Quadratic:
    """The error of all penalties as one matrix product with (z_j z_k, z_j q_j)."""

    def __init__(self, parts: Decomposition, gram: Tensor, alphas: Tensor) -> None:
        import torch

        filters = 1 / (parts.values + alphas[:, None])
        held = parts.project @ gram @ parts.project.T
        rows, columns = torch.triu_indices(*held.shape, device=held.device)
        pairs = held[rows, columns] * torch.where(rows == columns, 1.0, 2.0)
        products = pairs * filters[:, rows] * filters[:, columns]
        self._weights = (torch.hstack([products, -2 * filters]) / gram[-1, -1]).float()

    def __call__(self, z: Tensor, q: Tensor) -> Tensor:
        import torch

        p, targets = z.shape
        terms = torch.empty((p * (p + 1) // 2 + p, targets), dtype=z.dtype, device=z.device)
        start = 0
        for j in range(p):
            torch.mul(z[j:], z[j], out=terms[start : start + p - j])
            start += p - j
        torch.mul(z, q, out=terms[start:])
        return self._weights @ terms


class _LowRank:
    """The error of all penalties from predictions under the leading singular vectors of the filters."""

    def __init__(self, parts: Decomposition, design: Design, held: Rows, alphas: Tensor) -> None:
        import torch

        rows = design.base.wide[torch.as_tensor(held, device=alphas.device)] @ parts.project.T
        if rows.shape[0] > rows.shape[1]:  # only |rows @ w| is needed, and R of QR has the same norms
            rows = torch.linalg.qr(rows, mode="r").R
        filters = 1 / (parts.values + alphas[:, None])
        least = parts.values + alphas.min()
        left, singular, right = torch.linalg.svd(filters * least, full_matrices=False)
        rank = int((singular > FILTER_TOLERANCE * singular[0]).sum())
        n = len(held)
        self._mix = (left[:, :rank] * singular[:rank] / n**0.5).float()
        self._shapes = (right[:rank] / least).float()
        self._cross = (-2 / n * filters).float()
        self._rows = rows.float()

    def __call__(self, z: Tensor, q: Tensor) -> Tensor:
        rank, rows = self._shapes.shape[0], self._rows.shape[0]
        scaled = (self._shapes[:, None, :] * self._rows).flatten(0, 1)
        components = (scaled @ z).view(rank, -1)
        total = self._cross @ (z * q)
        for mix, out in zip(self._mix, total, strict=True):
            prediction = (mix @ components).view(rows, -1)
            out += prediction.square_().sum(0)
        return total
