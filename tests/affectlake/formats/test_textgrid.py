from __future__ import annotations

import pytest

from affectlake.errors import InputError
from affectlake.exclusions import Exclusions
from affectlake.formats.textgrid import read_words

HEAD = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 9\ntiers? <exists>\nsize = 2\nitem []:\n'
)


def tier(name: str, words: list[tuple[float, float, str]], size: int | None = None) -> str:
    text = (
        f'    item [1]:\n        class = "IntervalTier"\n        name = "{name}"\n        xmin = 0\n        xmax = 9\n'
    )
    text += f"        intervals: size = {len(words) if size is None else size}\n"
    for n, (low, high, word) in enumerate(words, start=1):
        text += f"        intervals [{n}]:\n            xmin = {low}\n            xmax = {high}\n"
        text += f'            text = "{word}"\n'
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_words_of_the_named_tier_are_read_and_silences_counted(tmp_path, encoding):
    path = tmp_path / "a.TextGrid"
    other = tier("phone", [(0, 1, "a")])
    path.write_text(
        HEAD + other + tier("word", [(0, 1, "sp"), (1, 2.5, 'say ""no""'), (3, 4, "Zoë")]), encoding=encoding
    )
    exclusions = Exclusions()
    words = read_words(path, exclusions=exclusions)
    assert words.rows() == [(1.0, 2.5, 'say "no"'), (3.0, 4.0, "Zoë")]
    assert exclusions.total("silence") == 1
    assert exclusions.total("absent_interval") == 0


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes_and_says_so(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(HEAD + tier("word", [(0, 1, "one"), (1, 2, "two")], size=5) + "        intervals [3]:\n       ")
    exclusions = Exclusions()
    assert read_words(path, exclusions=exclusions).height == 2
    assert exclusions.total("absent_interval") == 3


def test_what_is_no_such_file_is_refused(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text("words\n")
    with pytest.raises(InputError, match="no TextGrid in Praat's long form"):
        read_words(path, exclusions=Exclusions())
    path.write_text(HEAD + tier("word", [(0, 1, "one")]))
    with pytest.raises(InputError, match="has no interval tier 'syllable'; there are word"):
        read_words(path, tier="syllable", exclusions=Exclusions())
