"""Frames as a judge is shown them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from affectlake.contactsheets import SIDE_PX, contact_sheet, evenly, grid, sheet_size


def frame(grey: int, width: int = 64, height: int = 48) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (grey, grey, grey)).save(buffer, format="JPEG")
    return buffer.getvalue()


def test_fewer_frames_are_those_in_the_middle_of_equal_parts() -> None:
    assert evenly(8, 8) == list(range(8))
    assert evenly(8, 4) == [1, 3, 5, 7]
    assert evenly(8, 1) == [4]
    assert evenly(9, 3) == [1, 4, 7]
    assert evenly(3, 8) == [0, 1, 2], "a short clip shows what it has"
    for n in range(1, 40):
        for wanted in range(1, 40):
            chosen = evenly(n, wanted)
            assert len(set(chosen)) == len(chosen) == min(n, wanted)
            assert chosen == sorted(chosen)
            assert 0 <= chosen[0] <= chosen[-1] < n


@pytest.mark.parametrize(
    ("n", "width", "height"), [(1, 64, 48), (8, 512, 288), (8, 288, 512), (32, 4096, 10), (5, 1, 1)]
)
def test_a_sheet_is_no_larger_than_services_take_without_scaling(n: int, width: int, height: int) -> None:
    columns, rows = grid(n)
    assert columns * rows >= n > columns * (rows - 1)
    picture = Image.open(io.BytesIO(contact_sheet([frame(99, width, height)] * n)))
    assert picture.size == sheet_size(n, width, height)
    assert max(picture.size) <= SIDE_PX


def test_frames_stand_from_left_to_right_and_from_top_to_bottom() -> None:
    frames = [frame(20 + 25 * i) for i in range(8)]
    sheet = contact_sheet(frames)
    assert sheet == contact_sheet(frames)
    picture = np.asarray(Image.open(io.BytesIO(sheet)).convert("L")).astype(int)
    assert picture.shape == (3 * 48 + 2 * 4, 3 * 64 + 2 * 4)
    for i in range(8):
        row, column = divmod(i, 3)
        cell = picture[row * 52 : row * 52 + 48, column * 68 : column * 68 + 64]
        assert cell.mean() == pytest.approx(20 + 25 * i, abs=4)
