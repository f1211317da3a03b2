"""How replies are read: soft labels from tokens of any cut, waits that a service asks for, prices."""

from __future__ import annotations

import math
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectlake.errors import InputError
from resources.agents.service.openai import label_shares
from resources.agents.service.prices import read_prices
from resources.agents.service.wire import retry_after
from resources.study import Study, load_study

TEXT = '{"odd": "B"}'


def cut(text: str, places: set[int], offered: dict[str, float]) -> list[dict[str, object]]:
    """Tokens of ``text`` cut at ``places``; the one with the label has alternatives that differ in the letter only."""
    ends = sorted({*places, len(text)})
    starts = [0, *ends[:-1]]
    tokens = []
    for start, end in zip(starts, ends, strict=True):
        token, at = text[start:end], text.index('B"') - start
        tops = [
            {"token": token[:at] + label + token[at + 1 :], "logprob": math.log(p)}
            for label, p in offered.items()
            if 0 <= at < len(token)
        ]
        tokens.append({"token": token, "logprob": 0.0, "top_logprobs": tops})
    return tokens


@given(st.sets(st.integers(1, len(TEXT) - 1)))
def test_soft_labels_are_found_however_the_answer_is_cut_into_tokens(places: set[int]) -> None:
    shares = label_shares(TEXT, cut(TEXT, places, {"A": 0.2, "B": 0.5, "C": 0.1, "D": 0.2}))
    assert shares == pytest.approx((0.25, 0.625, 0.125))


@pytest.mark.parametrize(
    "tokens",
    [
        None,
        "tokens",
        [],
        [{"token": TEXT}],
        [{"token": "else"}],
        [{"token": TEXT, "top_logprobs": [{"token": '{"odd": "D"}', "logprob": 0.0}]}],
        [{"token": TEXT, "top_logprobs": [{"token": TEXT, "logprob": None}]}],
        [{"token": TEXT, "top_logprobs": [{"token": TEXT, "logprob": float("nan")}]}],
        [{"token": TEXT, "top_logprobs": [{"token": TEXT, "logprob": -(10**400)}]}],
    ],
)
def test_without_usable_tokens_there_are_no_soft_labels(tokens: object) -> None:
    assert label_shares(TEXT, tokens) is None


@given(
    st.recursive(
        st.none() | st.text() | st.floats() | st.booleans(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_tokens_of_any_shape_do_no_harm(tokens: object) -> None:
    assert label_shares(TEXT, tokens) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, 366 * 86400.0),
    ],
)
def test_waits_are_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers.get) == seconds


def test_a_wait_may_be_a_date() -> None:
    headers = {"retry-after": formatdate(time.time() + 100, usegmt=True)}
    assert retry_after(headers.get) == pytest.approx(100, abs=2)


def study(folder: Path, more: str = "") -> Study:
    (folder / "study.yaml").write_text("name: mine\nstimuli: {manifest: videos.csv}\n" + more)
    return load_study(folder / "study.yaml")


def test_a_price_fits_a_model_with_and_without_a_date_and_no_other(tmp_path: Path) -> None:
    prices = read_prices(study(tmp_path))
    for name in ("gpt-6-luna", "gpt-6-luna-2026-10-06", "openai/gpt-6-luna"):
        assert prices.of(name) is not None, name
    for name in ("claude-haiku-5.5", "claude-haiku-5-5-20261001", "claude-haiku-5-5-latest"):
        assert prices.of(name) == prices.of("haiku-5.5")
    for name in ("gpt-6-luna-pro", "my-gpt-6", "qwen"):
        assert prices.of(name) is None, name


def test_a_studys_own_prices_come_first_and_a_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text("gpt-6-luna: {input: 1, output: 2}\nqwen: {input: 0, output: 0}\n")
    prices = read_prices(study(tmp_path, "prices: prices.yaml\n"))
    price = prices.of("gpt-6-luna")
    assert price is not None
    assert price.usd(1e6, 1e6) == 3
    assert prices.of("qwen") is not None
    (tmp_path / "prices.yaml").write_text("gpt-6-luna: cheap\n")
    with pytest.raises(InputError, match=r"prices\.yaml"):
        read_prices(study(tmp_path, "prices: prices.yaml\n"))
