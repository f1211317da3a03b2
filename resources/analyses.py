"""The sections of the study file that say how spaces and brains are compared.

What belongs here: keys and their rules. What does not: the comparisons (`affectlake`), whether the models that are
named exist (`resources.study`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from resources.settings import Settings


class LogSpace(Settings):
    """Powers of ten, from the first to the second exponent, so many of them."""

    logspace: tuple[float, float, int]


class Encoding(Settings):
    """How responses are predicted from a space."""

    folds: int = Field(6, ge=2)
    gap: int = Field(0, ge=0)
    """Presentations left out of training on each side of the held-out block, where a subject has one run only."""
    alphas: LogSpace | tuple[float, ...] = LogSpace(logspace=(-1, 6, 20))
    alpha: Literal["target", "roi", "shared"] = "target"
    """Who shares a penalty: no one, the voxels of one region (of one set of regions, where they overlap), or all."""
    null: int = Field(1000, ge=0)
    """Permutations that regions, similarities and voxels are tested with; 0 for none."""
    voxel_p: Literal["permutation", "analytic"] = "permutation"
    """Where a voxel's p comes from. The analytic null (of unrelated Gaussian vectors) has no least p, but takes the
    presentations as independent."""
    seed: int = 0

    @model_validator(mode="after")
    def _folds_for_alphas(self) -> Encoding:
        if self.folds < 3 and len(self.alpha_grid) > 1:
            raise ValueError("choosing among several alphas inside the training folds takes at least 3 folds")
        return self

    @property
    def alpha_grid(self) -> tuple[float, ...]:
        """The ridge penalties tried."""
        if isinstance(self.alphas, LogSpace):
            import numpy as np

            return tuple(float(a) for a in np.logspace(*self.alphas.logspace))
        return self.alphas


class VariancePartition(Settings):
    """Sets of models whose unique and shared variance is told apart."""

    sets: tuple[tuple[str, ...], ...] = ()
    banded: bool = False
    """Give each model of a joint fit its own penalty (banded ridge), at fifty times the cost."""


class Searchlight(Settings):
    """Similarities around each voxel, of all models in one pass over a brain."""

    radius: float = Field(3, ge=1, le=20)
    """In voxels."""
    shape: Literal["sphere", "cube"] = "sphere"
    """A sphere holds the voxels at most `radius` away, a cube those at most that far along each axis (3: 7 x 7 x 7)."""
    min_voxels: int = Field(10, ge=2)
    """Centres with fewer usable voxels around them are not scored."""
    exact: bool = False
    """Form the matrix of all clips at each centre, to check with: many times slower."""
    models: tuple[str, ...] = ()
    """All models of the study where absent."""


class Rsa(Settings):
    """How similarities of spaces and brains are compared."""

    methods: tuple[Literal["pearson", "spearman"], ...] = Field(("pearson",), min_length=1)
    """Correlation of the upper triangles."""
    partial: tuple[str, ...] = ()
    """Feature spaces (visual, semantic, motion) whose similarities are partialled out, in rows of their own."""
    searchlight: Searchlight | None = None


class Decoding(Settings):
    """The reverse check: what a model says of the clips, read from the regions."""

    models: tuple[str, ...] = ()
    """Spaces whose dimensions are decoded; ratings as they are (`agent: features, scale: category`), for example."""
    null: int = Field(200, ge=0)
    """Permutations; 0 for none."""
