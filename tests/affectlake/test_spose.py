import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlake import spose
from affectlake.errors import DeviceError, InputError
from tests.affectlake._planted import judge, plant, recovered

N = 60
THINGS = Path(__file__).parents[3] / "shared" / "data" / "triplets"


@pytest.fixture(scope="module")
def planted():
    return plant(N, 6, active=2, scale=0.9, seed=1)


@pytest.fixture(scope="module")
def answers(planted):
    return judge(planted, 20_000, seed=2)


@pytest.fixture(scope="module")
def fitted(answers):
    return spose.fit(answers, N, dimensions=20, seed=3)


def plain_objective(weights, triplets, l1, probabilities=None, counts=None):
    """The published objective, written down in PyTorch without looking at ours."""
    import torch

    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    a, b, c = (w[torch.tensor(triplets[:, k].astype(np.int64))] for k in range(3))
    odd_is = torch.stack([(b * c).sum(1), (a * c).sum(1), (a * b).sum(1)], dim=1)
    target = torch.zeros(len(triplets), 3, dtype=torch.float64)
    target[:, 2] = 1
    if probabilities is not None:
        target = torch.tensor(probabilities, dtype=torch.float64)
    often = torch.ones(len(triplets), dtype=torch.float64) if counts is None else torch.tensor(counts)
    cross = -(target * torch.log_softmax(odd_is, dim=1)).sum(1)
    value = (often * cross).sum() / often.sum() + l1 / len(weights) * w.abs().sum()
    value.backward()
    return float(value.detach()), w.grad.numpy()


@pytest.mark.parametrize("labels", ["certain", "soft", "counted"])
def test_loss_and_gradient_agree_with_plain_pytorch_to_1e_5(labels):
    rng = np.random.default_rng(0)
    weights = rng.gamma(1.0, 0.5, size=(40, 13)).astype(np.float32)
    triplets = judge(weights, 3000, seed=1)
    extra = {}
    if labels == "soft":
        extra["probabilities"] = rng.dirichlet([1, 1, 1], size=len(triplets)).astype(np.float32)
    if labels == "counted":
        extra["counts"] = rng.integers(1, 9, size=len(triplets)).astype(np.float64)
    value, gradient = spose.objective(weights, triplets, l1=0.01, **extra)
    true_value, true_gradient = plain_objective(weights, triplets, 0.01, **extra)
    assert value == pytest.approx(true_value, abs=1e-5)
    np.testing.assert_allclose(gradient, true_gradient, atol=1e-5)


def plain_published_program(triplets, n_items, batches, weights, l1):
    """The published training step in plain PyTorch: one-hot products, autograd, soft penalty, Adam."""
    import torch

    w = torch.tensor(weights, requires_grad=True)
    adam = torch.optim.Adam([w], lr=1e-3)
    eye = torch.eye(n_items)
    for rows in batches:
        a, b, c = (eye[torch.tensor(rows[:, k].astype(np.int64))] @ w for k in range(3))
        kept, second, third = (a * b).sum(1).exp(), (a * c).sum(1).exp(), (b * c).sum(1).exp()
        loss = -torch.log(kept / (kept + second + third)).mean()
        loss = loss + l1 / n_items * w.abs().sum() + 0.01 * torch.relu(-w).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return w.detach().numpy()


def test_the_reference_takes_the_published_programs_steps(answers):
    from affectlake import _spose_reference as reference
    from affectlake._spose_cpu import State, pad, run
    from affectlake._spose_data import batches, judgments

    rng = np.random.default_rng(5)
    weights = rng.normal(0.1, 0.05, size=(N, 16)).astype(np.float32)
    shuffled = batches(judgments(answers, N), 100, rng, drop_last=True)
    steps = 60
    rows = [shuffled.judgments.triplets[k * 100 : (k + 1) * 100] for k in range(steps)]
    state = State(pad(weights))
    ones = np.ones(steps, np.float32)
    run(state, shuffled, np.arange(steps), 1e-3 * ones, 0.5 * ones, published=True, betas=reference.BETAS)
    expected = plain_published_program(answers, N, rows, weights, 0.5)
    assert (expected < 0).any()
    np.testing.assert_allclose(state.weights[:, :16], expected, atol=1e-5)


def test_the_reference_finds_what_was_planted(planted, answers):
    result = spose.fit(answers, N, dimensions=12, l1=0.02, reference=True, epochs=60)
    assert len(result.history["loss"]) == 60
    assert (recovered(result.weights, planted) > 0.9).sum() >= 5


def test_planted_dimensions_come_back_without_tuning(planted, answers, fitted):
    r = recovered(fitted.weights, planted)
    assert (r > 0.9).sum() == 6
    assert 6 <= fitted.weights.shape[1] <= 8
    held_out = judge(planted, 4000, seed=99)
    assert spose.cross_entropy(fitted.weights, held_out) < 1.03 * spose.cross_entropy(planted, held_out)


def test_weights_are_non_negative_float32_sorted_by_share_and_pruned(fitted):
    assert fitted.weights.dtype == np.float32
    assert fitted.weights.min() == 0
    assert (fitted.weights.max(axis=0) > 0.1).all()
    assert (np.diff(fitted.share) <= 0).all()
    assert fitted.share.sum() == pytest.approx(1)


def test_the_path_over_l1_is_kept(fitted):
    path = fitted.history["path"]
    best = min(path, key=lambda p: p["cross_entropy"])["l1"]
    assert fitted.l1 == best
    assert [p["l1"] for p in path] == sorted(p["l1"] for p in path)


def test_the_same_seed_gives_the_same_bits_in_any_row_order(answers, fitted):
    rng = np.random.default_rng(7)
    shuffled = answers[rng.permutation(len(answers))]
    shuffled[::2] = shuffled[::2][:, [1, 0, 2]]
    again = spose.fit(shuffled, N, dimensions=20, seed=3)
    assert again.weights.tobytes() == fitted.weights.tobytes()


def test_another_seed_gives_other_weights_and_the_same_dimensions(answers, fitted):
    other = spose.fit(answers, N, dimensions=20, seed=4, l1=fitted.l1)
    assert other.weights.tobytes() != fitted.weights.tobytes()
    assert (recovered(other.weights, fitted.weights[:, :6]) > 0.9).all()


def test_runs_side_by_side_have_the_bits_of_runs_alone(answers):
    together = spose.fit_reproducible(answers, N, seeds=3, dimensions=12, dimensions_kept=4, l1=0.03, seed=5).runs
    for k, weights in enumerate(together):
        alone = spose.fit(answers, N, dimensions=12, l1=0.03, seed=5 + k)
        assert alone.weights.tobytes() == weights.tobytes()


def test_counting_a_judgment_twice_is_the_same_as_giving_it_twice(answers):
    few = np.unique(answers[:3000], axis=0)
    twice = np.concatenate([few, few[:1000]])
    counts = np.ones(len(few))
    counts[:1000] = 2
    weights = plant(N, 5, seed=8)
    by_rows = spose.objective(weights, twice, l1=0.01)
    by_counts = spose.objective(weights, few, l1=0.01, counts=counts)
    assert by_counts[0] == pytest.approx(by_rows[0], rel=1e-6)
    np.testing.assert_allclose(by_counts[1], by_rows[1], atol=1e-7)


def test_probabilities_of_a_judge_teach_more_than_its_single_answers(planted):
    asked = judge(planted, 1500, seed=11)
    soft = spose.probabilities(planted, asked)
    held_out = judge(planted, 4000, seed=12)
    from_soft = spose.fit(asked, N, dimensions=20, l1=0.02, probabilities=soft)
    from_hard = spose.fit(asked, N, dimensions=20, l1=0.02)
    assert spose.cross_entropy(from_soft.weights, held_out) < spose.cross_entropy(from_hard.weights, held_out)


def test_a_judge_who_prefers_the_last_place_is_found_out(planted):
    rng = np.random.default_rng(13)
    asked = judge(planted, 12_000, seed=13)
    positions = rng.permuted(np.tile(np.arange(3), (len(asked), 1)), axis=1)
    bias = np.array([-0.4, -0.1, 0.5])
    p = spose.probabilities(planted, asked) * np.exp(bias)[positions]
    odd = (np.log(p) + rng.gumbel(size=p.shape)).argmax(axis=1)
    turn = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]
    triplets, positions = np.take_along_axis(asked, turn, 1), np.take_along_axis(positions, turn, 1)
    result = spose.fit(triplets, N, dimensions=20, l1=0.02, positions=positions)
    np.testing.assert_allclose(result.position_intercepts, bias, atol=0.08)


def test_a_warm_start_keeps_its_dimensions_and_learns_added_items(planted):
    known = judge(planted[:50], 6000, seed=14)
    earlier = spose.fit(known, 50, dimensions=20, l1=0.02)
    more = np.concatenate([known, judge(planted, 4000, seed=15)])
    later = spose.fit(more, N, l1=0.02, weights=earlier.weights)
    assert (recovered(later.weights[:50], earlier.weights) > 0.9).sum() >= 6
    assert (recovered(later.weights[50:], planted[50:]) > 0.7).sum() >= 5


def test_runs_that_go_on_from_their_own_are_as_good_as_new_ones_and_independent_of_each_other(planted):
    first, more, held_out = (judge(planted, n, seed=s) for n, s in ((8000, 14), (2000, 15), (4000, 16)))
    answers = np.concatenate([first, more])
    settings = {"seeds": 3, "dimensions": 20, "l1": 0.02, "dimensions_kept": 10}
    earlier = spose.fit_reproducible(first, N, **settings)
    on = spose.fit_reproducible(answers, N, starts=earlier.runs, **settings)
    new = spose.fit_reproducible(answers, N, **settings)
    assert spose.accuracy(on.weights, held_out) > spose.accuracy(new.weights, held_out) - 0.01
    assert spose.accuracy(on.weights, held_out) > spose.accuracy(earlier.weights, held_out)
    for k, run in enumerate(on.runs):
        alone = spose.fit(answers, N, dimensions=20, l1=0.02, seed=k, weights=earlier.runs[k])
        np.testing.assert_array_equal(run, alone.weights)
    with pytest.raises(InputError, match="2 starts do not serve 3 runs"):
        spose.fit_reproducible(answers, N, starts=earlier.runs[:2], **settings)


def test_items_without_judgments_are_zero_and_named(answers):
    result = spose.fit(answers, N + 3, dimensions=10, l1=0.02)
    assert result.weights.shape[0] == N + 3
    assert not result.weights[N:].any()
    assert any("3 of 63 items stand in no judgment" in text for text in result.lacks)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_triplets_work_and_say_what_they_lack(n):
    result = spose.fit(judge(plant(5, 2, seed=1), n, seed=1) if n else np.empty((0, 3), int), 5, dimensions=4)
    assert result.weights.shape[0] == 5
    assert result.lacks


def test_a_tie_counts_as_wrong_and_is_counted():
    weights = np.array([[1, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]], np.float32)
    triplets = np.array([[0, 1, 2], [0, 2, 1], [3, 4, 5], [0, 3, 1]])
    assert spose.accuracy(weights, triplets) == 0.25
    assert spose.ties(weights, triplets) == 1
    assert spose.predict(weights, triplets).tolist() == [2, 2, -1, 3]


def test_probabilities_follow_the_softmax_of_the_kept_pairs():
    weights = np.log([[2.0, 1], [2, 1], [1, 2]]).astype(np.float32)
    kept = np.exp(np.array([weights[1] @ weights[2], weights[0] @ weights[2], weights[0] @ weights[1]]))
    np.testing.assert_allclose(spose.probabilities(weights, [[0, 1, 2]])[0], kept / kept.sum(), rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 12), st.integers(1, 20))
def test_accuracy_does_not_depend_on_the_order_of_the_kept_pair(seed, n, d):
    rng = np.random.default_rng(seed)
    weights = (rng.integers(0, 3, size=(n, d))).astype(np.float32)
    triplets = np.array([rng.choice(n, 3, replace=False) for _ in range(40)])
    assert spose.accuracy(weights, triplets) == spose.accuracy(weights, triplets[:, [1, 0, 2]])
    p = spose.probabilities(weights, triplets)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"triplets": [[0, 1]]}, r"shape \(n, 3\)"),
        ({"triplets": [[0.0, 1.0, 2.0]]}, "integer array"),
        ({"triplets": [[0, 1, 2], [0, 1, 60]]}, r"triplets, row 1: item outside 0 .. 59"),
        ({"triplets": [[0, 1, 2], [0, 1, 1]]}, "stands twice"),
        ({"probabilities": [[0.5, 0.5, 0.5]]}, "probabilities, row 0"),
        ({"probabilities": [[0.5, 0.5]]}, "probabilities have shape"),
        ({"counts": [0]}, "positive numbers"),
        ({"positions": [[0, 0, 1]]}, "order of 0, 1, 2"),
        ({"l1": -1}, "l1 is -1"),
        ({"l1": "often"}, "l1 is 'often'"),
        ({"dimensions": 0}, "dimensions is 0"),
        ({"reference": True}, "no automatic l1"),
        ({"weights": np.full((N + 1, 2), 0.1)}, "cannot start"),
        ({"device": "tpu"}, "unknown device"),
    ],
)
def test_wrong_input_is_refused_with_the_row_and_the_remedy(wrong, message):
    with pytest.raises(InputError, match=message):
        spose.fit(**{"triplets": [[0, 1, 2]], "n_items": N, **wrong})


def test_cuda_is_refused_where_there_is_none(answers):
    import torch

    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here")
    with pytest.raises(DeviceError, match="no CUDA device"):
        spose.fit(answers, N, device="cuda")


def test_the_cuda_engine_finds_the_same_dimensions(answers, fitted, monkeypatch):
    """Runs the PyTorch engine on the processor, briefly; the next test runs it where it belongs."""
    import torch

    from affectlake import _spose_cpu, _spose_torch
    from affectlake._spose_data import judgments

    monkeypatch.setattr(_spose_cpu, "STEPS", 400)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine took a minute here
    states, l1, _ = _spose_torch.fit_many(
        judgments(answers, N), 20, fitted.l1, [0, 1], lambda done, text: None, device="cpu"
    )
    torch.set_num_threads(threads)
    assert l1 == fitted.l1
    for state in states:
        assert (recovered(spose.prune(state.weights), fitted.weights[:, :6]) > 0.9).sum() >= 5


@pytest.mark.gpu
def test_gpu_finds_what_the_processor_finds(answers, fitted):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    result = spose.fit(answers, N, dimensions=20, l1=fitted.l1, device="cuda")
    assert (recovered(result.weights, fitted.weights[:, :6]) > 0.95).all()


def test_importing_spose_imports_no_torch_and_no_numba():
    code = "import sys, affectlake.spose; sys.exit(bool({'torch', 'numba', 'scipy', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_process_that_compiles_the_kernels_finds_the_same_bits_as_all_later_ones(answers, tmp_path):
    np.save(tmp_path / "answers.npy", answers)
    code = (
        f"import numpy as np; from affectlake import spose; answers = np.load({str(tmp_path / 'answers.npy')!r});"
        f"print(spose.fit(answers, {N}, dimensions=20, l1=0.02, seed=1).weights.tobytes().hex())"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    compiling, later = (
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    )
    assert compiling == later


def test_the_published_things_embedding_scores_640():
    if not THINGS.exists():
        pytest.skip(f"THINGS triplets are not at {THINGS}")
    weights = np.load(THINGS / "things_spose49.npy")
    triplets = np.loadtxt(THINGS / "things_test_10.txt", dtype=np.int64)
    assert spose.accuracy(weights, triplets) == pytest.approx(0.640, abs=5e-4)
