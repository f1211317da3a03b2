"""Several subjects side by side: the clips that all were shown and the places that all have.

What belongs here: matching by id and by place. What does not: what is then computed (``ceiling.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from affectlake.brainframes import response_matrix

_WHERE = pl.format(
    "{} {} {} {} {} {}", "i", "j", "k", *(pl.col(f"{axis}_mm").round(1) + 0.0 for axis in "xyz")
)  # + 0: there is a negative zero


@dataclass(frozen=True)
class CommonSpace:
    """What subjects have in common.

    Attributes
    ----------
    subjects : tuple of str
        Those with a usable voxel and a response.
    stimuli : DataFrame
        ``video_id``: clips that all of them were shown, sorted.
    voxels : DataFrame
        ``subject``, ``voxel``, ``place``, ``rois``: voxels at places that are usable in all of them, sorted by subject
        and place. A place is a voxel of one grid (indices and mm), or a region where only its time series is known.
    """

    subjects: tuple[str, ...]
    stimuli: pl.DataFrame
    voxels: pl.DataFrame

    @classmethod
    def of(cls, voxels: pl.DataFrame, shown: pl.DataFrame) -> CommonSpace:
        """Match subjects.

        Parameters
        ----------
        voxels : DataFrame
            Rows of the table ``voxels`` of all subjects.
        shown : DataFrame
            ``subject`` and ``video_id`` of all presentations.
        """
        usable = voxels.filter(pl.col("status") == "used").with_columns(
            place=pl.when(pl.col("i").is_null()).then(pl.col("rois").list.join(";")).otherwise(_WHERE)
        )
        there = shown.select("subject", "video_id").unique()
        subjects = sorted(set(usable["subject"]) & set(there["subject"]))
        everywhere = [
            frame.filter(pl.col("subject").is_in(subjects))
            .group_by(name)
            .agg(pl.col("subject").n_unique())
            .filter(pl.col("subject") == len(subjects))
            .select(name)
            .sort(name)
            for frame, name in ((there, "video_id"), (usable, "place"))
        ]
        same = usable.filter(pl.col("subject").is_in(subjects)).join(everywhere[1], on="place", how="semi")
        return cls(
            tuple(subjects),
            everywhere[0],
            same.select("subject", "voxel", "place", "rois").sort("subject", "place"),
        )

    def of_subject(self, subject: str) -> pl.DataFrame:
        """The subject's voxels, row by row at the same places as any other subject's."""
        return self.voxels.filter(pl.col("subject") == subject)

    def responses(self, subject: str, frame: pl.DataFrame) -> npt.NDArray[np.float32]:
        """The subject's first response to each clip at each place: float32[n_stimuli, n_places].

        Parameters
        ----------
        subject : str
        frame : DataFrame
            The subject's rows of the table ``responses``.
        """
        presentations, matrix = response_matrix(frame)
        first = presentations.with_row_index("row").sort("trial").unique("video_id", keep="first")
        rows = self.stimuli.join(first, on="video_id", how="left", maintain_order="left")["row"]
        found: npt.NDArray[np.float32] = matrix[np.ix_(rows.to_numpy(), self.of_subject(subject)["voxel"].to_numpy())]
        return found
