"""Generated data that needs memory: values by hand, and recursions once more in plain Python."""

from __future__ import annotations

import pytest
import torch

from seqzoo.contracts.errors import DataError
from seqzoo.contracts.spec import DataSpec
from seqzoo.data.generated.adding import Adding
from seqzoo.data.generated.copy_memory import CopyMemory
from seqzoo.data.generated.lorenz import Lorenz, derivative, lorenz
from seqzoo.data.generated.mackey_glass import MackeyGlass, mackey_glass
from seqzoo.data.generated.narma10 import Narma10, draw, narma10
from seqzoo.data.generated.parity import Parity, parities
from seqzoo.data.numbers import NumberData

SMALL = {"train_size": 30, "validation_size": 8, "test_size": 5}
NUMBERS = [
    Adding(steps=20, **SMALL),
    Narma10(steps=20, **SMALL),
    MackeyGlass(steps=20, **SMALL),
]
each_of_numbers = pytest.mark.parametrize("data", NUMBERS, ids=lambda data: type(data).__name__)


@each_of_numbers
def test_batches_of_numbers(data: NumberData) -> None:
    data.load()
    assert data.splits() == {"train": 30, "validation": 8, "test": 5}
    data.batch_size = 7
    assert [data.num_batches(split) for split in data.splits()] == [5, 2, 1]
    batches = list(data.batches("train", epoch=2))
    assert [batch.size for batch in batches] == [7, 7, 7, 7, 2]
    assert batches[0].inputs.shape == (7, 20, data.spec.input_size)
    assert batches[0].targets.shape == (7, 20, 1)[: 3 if data.spec.per_step else 1] + (1,) * (not data.spec.per_step)
    assert batches[0].inputs.dtype == batches[0].targets.dtype == torch.float32
    assert not batches[0].padded
    assert batches[0].lengths.tolist() == [20] * 7
    later = list(data.batches("train", epoch=2, start=3))
    assert torch.equal(later[0].inputs, batches[3].inputs)
    assert not torch.equal(next(data.batches("train", epoch=3)).inputs, batches[0].inputs)
    # validation is read in one order
    assert torch.equal(next(data.batches("test")).inputs, data._sequences["test"].inputs)


@each_of_numbers
def test_splits_of_numbers_are_disjoint_and_the_same_for_every_seed(data: NumberData) -> None:
    data.load()
    other = type(data)(steps=20, seed=7, **{**SMALL, "train_size": 60})
    other.load()
    assert torch.equal(data._sequences["test"].inputs, other._sequences["test"].inputs)
    assert torch.equal(data._sequences["test"].targets, other._sequences["test"].targets)
    rows = [tuple(row.flatten().tolist()) for found in data._sequences.values() for row in found.inputs]
    assert len(set(rows)) == 43


@each_of_numbers
def test_mistakes_of_numbers(data: NumberData) -> None:
    kind = type(data)
    with pytest.raises(ValueError, match="train_size=0 must be between 1 and"):
        kind(train_size=0)
    with pytest.raises(ValueError, match="limit=0 is too small"):
        kind(limit=0)
    with pytest.raises(ValueError, match="steps=0 must be between"):
        kind(steps=0)
    data.load()
    with pytest.raises(DataError, match='no split "dev": it has train, validation, test'):
        data.num_batches("dev")
    with pytest.raises(DataError, match="choose other data"):
        data.load(DataSpec("regression", 9, 1))
    kind(steps=20, limit=3).load(data.spec)


def test_a_limit_keeps_so_many() -> None:
    data = Narma10(steps=5, limit=6, **SMALL)
    data.load()
    assert data.splits() == {"train": 6, "validation": 6, "test": 5}


# adding


@pytest.mark.parametrize("steps", [2, 9, 600])
def test_adding_sums_the_two_marked_numbers(steps: int) -> None:
    inputs, targets = Adding(steps=steps).generate("train", 50)
    assert inputs.shape == (50, steps, 2)
    for row, target in zip(inputs.tolist(), targets.tolist(), strict=True):
        marked = [t for t, (_, mark) in enumerate(row) if mark == 1]
        assert sum(mark for _, mark in row) == len(marked) == 2
        assert marked[0] < steps // 2 <= marked[1]
        assert target == pytest.approx([row[marked[0]][0] + row[marked[1]][0]])


def test_adding_has_the_known_baseline() -> None:
    inputs, targets = Adding(steps=30).generate("train", 20_000)
    assert (targets - 1).square().mean().item() == pytest.approx(1 / 6, rel=0.03)
    assert inputs[..., 0].min() >= 0
    assert inputs[..., 0].max() < 1
    assert inputs[..., 0].mean().item() == pytest.approx(0.5, abs=0.01)
    counts = inputs[..., 1].sum(0)
    assert counts.min() > 0.8 * 20_000 / 15
    assert counts.max() < 1.2 * 20_000 / 15


# narma


def test_narma_is_the_recursion_of_the_paper() -> None:
    inputs = (0.5 * torch.rand(2, 40, dtype=torch.float64)).tolist()
    found = narma10(torch.tensor(inputs, dtype=torch.float64)).tolist()
    for u, answers in zip(inputs, found, strict=True):
        y = [0.0]
        for t in range(40):
            earlier = u[t - 9] if t >= 9 else 0.0
            y.append(0.3 * y[t] + 0.05 * y[t] * sum(y[max(0, t - 9) : t + 1]) + 1.5 * earlier * u[t] + 0.1)
        assert answers == pytest.approx(y[1:], abs=1e-12)


def test_narma_by_hand() -> None:
    """The first answers: 0.1; 0.03 + 0.05 * 0.1 * 0.1 + 0.1; the product of inputs comes with the tenth."""
    found = narma10(torch.full((1, 10), 0.5, dtype=torch.float64))[0].tolist()
    assert found[:2] == pytest.approx([0.1, 0.1305])
    y = [0.0, *found[:9]]
    assert found[9] == pytest.approx(0.3 * y[9] + 0.05 * y[9] * sum(y) + 1.5 * 0.25 + 0.1)


def test_narma_data_stays_bounded() -> None:
    inputs, targets = Narma10(steps=300).generate("train", 400)
    assert 0 <= inputs.min() < 0.001
    assert 0.499 < inputs.max() <= 0.5
    assert targets.max() < 1.5
    assert targets.mean().item() == pytest.approx(0.38, abs=0.03)


def test_narma_sequences_that_leave_for_infinity_are_drawn_again() -> None:
    """Of 200 rows of 1,000 steps some do: what is left of a draw is the recursion still, and bounded."""
    generator = torch.Generator().manual_seed(0)
    raw = narma10(0.5 * torch.rand(200, 1_100, dtype=torch.float64, generator=generator))
    assert not torch.isfinite(raw).all()
    u, y = draw(200, 1_000, torch.Generator().manual_seed(0))
    assert y.max() < 1.5
    u, y = u[:, 500:], y[:, 499:]
    now, last = y[:, 9:-1], y.unfold(1, 10, 1)[:, :-1].sum(-1)
    expected = 0.3 * now + 0.05 * now * last + 1.5 * u[:, :-9] * u[:, 9:] + 0.1
    torch.testing.assert_close(y[:, 10:], expected)


# Mackey-Glass


def test_mackey_glass_by_hand() -> None:
    """While the delayed value is still the beginning, the equation is linear: x' = c - 0.1 x, by Euler's steps."""
    rise = 0.2 * 1.2 / (1 + 1.2**10)
    x, expected = 1.2, []
    for _ in range(17):
        for _ in range(10):
            x += 0.1 * (rise - 0.1 * x)
        expected.append(x)
    found = mackey_glass(18)
    assert found[:17].tolist() == pytest.approx(expected, abs=1e-12)
    assert found.dtype == torch.float64
    assert len(found) == 18


def test_mackey_glass_is_the_equation_with_its_delay() -> None:
    found = mackey_glass(400, beginning=0.9)
    now, delayed, after = found[101:300], found[84:283], found[102:301]
    slope = 0.2 * delayed / (1 + delayed**10) - 0.1 * now
    # the slope at the middle of a step lies between those of its ends
    middle = (slope[1:] + slope[:-1]) / 2
    torch.testing.assert_close((after - now)[:-1], middle, rtol=0, atol=4e-3)
    assert found[100:].min() > 0.2
    assert found[100:].max() < 1.4


def test_mackey_glass_step_by_step() -> None:
    """By Euler's steps of a tenth: the delayed value is that of 170 of them before."""
    x = dict.fromkeys(range(-170, 1), 1.1)
    for step in range(600):
        x[step + 1] = x[step] + 0.1 * (0.2 * x[step - 170] / (1 + x[step - 170] ** 10) - 0.1 * x[step])
    assert mackey_glass(60, beginning=1.1).tolist() == pytest.approx([x[10 * time] for time in range(1, 61)])


def test_mackey_glass_looks_ahead() -> None:
    one, far = (MackeyGlass(steps=10, horizon=horizon).generate("test", 4) for horizon in (1, 7))
    series = mackey_glass(1_000 + 40 + 7, beginning=0.9)[1_000:] - 1
    assert torch.equal(one.inputs.flatten(), series[:40])
    assert torch.equal(one.targets.flatten(), series[1:41])
    assert torch.equal(far.targets.flatten(), series[7:47])
    with pytest.raises(ValueError, match="horizon=0 is too small"):
        MackeyGlass(horizon=0)


# parity


def test_parity_by_hand() -> None:
    assert parities("0110100") == list("0100111")
    assert parities("1111") == list("1010")


def test_parity_is_tested_on_longer_strings() -> None:
    data = Parity(longest=12, test_length=33, train_size=400, validation_size=50, test_size=20)
    splits = data.read()
    assert {len(example.source) for example in splits["train"]} == set(range(1, 13))
    assert {len(example.source) for example in splits["test"]} == {33}
    examples = [example for found in splits.values() for example in found]
    assert len({example.source for example in examples}) == 470
    for example in examples:
        assert example.target == [str(example.source[: t + 1].count("1") % 2) for t in range(len(example.source))]
    assert splits == Parity(longest=12, test_length=33, seed=4, train_size=400, validation_size=50, test_size=20).read()
    data.load()
    assert (data.spec.input_size, data.spec.output_size) == (4, 2)
    assert data.expected_spec().input_size == 4
    with pytest.raises(ValueError, match="test_length=40 must be above longest=40"):
        Parity(test_length=40)
    with pytest.raises(ValueError, match="longest=0"):
        Parity(longest=0)


# copying memory


def test_copy_memory_by_hand() -> None:
    data = CopyMemory(steps=4, symbols=3, alphabet_size=3, train_size=10, validation_size=5, test_size=5)
    splits = data.read()
    for example in (example for found in splits.values() for example in found):
        text = example.source[:3]
        assert set(text) <= set("abc")
        assert example.source == f"{text}___:___"
        assert example.target == list(f"_______{text}")
    assert len({example.source for found in splits.values() for example in found}) == 20
    data.load()
    assert (data.spec.input_size, data.spec.output_size) == (7, 4)
    assert data.expected_spec().output_size == 4


def test_copy_memory_has_the_length_of_the_paper() -> None:
    data = CopyMemory(train_size=20, validation_size=5, test_size=5)
    [batch] = data.batches("test") if data.load() is None else []
    assert batch.inputs.shape == batch.targets.shape == (5, 220)
    answers = [data.spec.targets.decode([i]) for i in batch.targets[0].tolist()]
    symbols = [data.spec.inputs.decode([i]) for i in batch.inputs[0, :10].tolist()]
    assert answers == ["_"] * 210 + symbols


def test_copy_memory_refuses() -> None:
    with pytest.raises(ValueError, match="steps=0"):
        CopyMemory(steps=0)
    with pytest.raises(ValueError, match="alphabet_size=27 must be between 2 and 26"):
        CopyMemory(alphabet_size=27)
    with pytest.raises(DataError, match="there are only 8 different examples where 20"):
        CopyMemory(symbols=3, alphabet_size=2, train_size=10, validation_size=5, test_size=5).load()


# lorenz


def test_lorenz_by_hand_and_by_small_steps() -> None:
    state = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert derivative(state).tolist() == pytest.approx([10, 1 * 25 - 2, 2 - 8])
    expected = state
    for _ in range(20_000):  # Euler steps of a thousandth of a step
        expected = expected + 0.02 / 20_000 * derivative(expected)
    torch.testing.assert_close(lorenz(state[None], 1)[0, 0], expected, rtol=1e-4, atol=1e-4)


def test_lorenz_is_scaled_and_looks_ahead() -> None:
    data = Lorenz(train_size=20, validation_size=2, test_size=2, steps=200)
    data.load()
    batches = list(data.batches("train"))
    inputs, targets = (torch.cat(parts) for parts in zip(*[(b.inputs, b.targets) for b in batches], strict=True))
    torch.testing.assert_close(targets[:, :-1], inputs[:, 1:])
    assert inputs.mean((0, 1)).abs().max() < 0.3
    assert (inputs.std((0, 1)) - 1).abs().max() < 0.2
