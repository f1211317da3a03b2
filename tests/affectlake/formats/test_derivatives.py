"""Names of BIDS derivatives."""

from __future__ import annotations

import pytest

from affectlake.errors import InputError
from affectlake.formats.derivatives import labels, map_path


def test_names_become_labels_of_letters_and_digits() -> None:
    assert labels(["human-category", "minilm", "qwen2.5-7b"]) == {
        "human-category": "humanCategory",
        "minilm": "minilm",
        "qwen2.5-7b": "qwen257b",
    }


def test_names_that_would_be_the_same_are_refused() -> None:
    with pytest.raises(InputError, match=r"a-b, aB would all be called 'aB'"):
        labels(["a-b", "aB"])


@pytest.mark.parametrize(
    ("subject", "task", "path"),
    [
        ("sub-01", "videos", "sub-01/func/sub-01_task-videos_desc-x_stat-r_statmap.nii.gz"),
        ("Subject1", None, "sub-Subject1/func/sub-Subject1_desc-x_stat-r_statmap.nii.gz"),
    ],
)
def test_a_map_lies_where_bids_has_it(subject: str, task: str | None, path: str) -> None:
    assert map_path(subject, "x", task).as_posix() == path
