"""Resets of the state inside rows: parallel episodes, as in recurrent reinforcement learning."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import seqzoo
from seqzoo.cells.cell import Cell
from seqzoo.configuration.building import cell_factory
from seqzoo.configuration.checking import examine
from seqzoo.configuration.composing import compose
from seqzoo.contracts.batch import Batch, State
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.state import detach, flatten
from seqzoo.contracts.steps import Steps, supported
from seqzoo.network.backbones.recurrent import Recurrent

B, T, INPUT, H, ACTIONS = 3, 21, 4, 6, 3
EPISODES = [[7, 14], [3, 1, 9, 5, 3], [21]]
"""How long the episodes of each environment are, one after the other."""


def first_steps() -> Tensor:
    """(B, T), True where an episode begins."""
    begins = torch.zeros(B, T, dtype=torch.bool)
    for row, lengths in enumerate(EPISODES):
        begins[row, torch.tensor([0, *lengths[:-1]]).cumsum(0)] = True
    return begins


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


class Policy(nn.Module):
    def __init__(self, cell: str):
        super().__init__()
        self.network = Recurrent(cell_factory(cell), INPUT, hidden_size=H, num_layers=2, learn_initial_state=True)
        self.head = nn.Linear(H, ACTIONS)

    def objective(self, x: Tensor, actions: Tensor, gains: Tensor, resets: Tensor | None = None) -> Tensor:
        """REINFORCE: the sum of gain times log-probability."""
        outputs, _ = self.network(x, Steps(resets=resets))
        scores = self.head(outputs).log_softmax(-1).gather(2, actions[..., None])[..., 0]
        return (gains * scores).sum()


@pytest.mark.parametrize("cell", ["lstm", "gru", "min_gru", "qrnn"])
def test_episodes_side_by_side_are_episodes_one_by_one(cell: str) -> None:
    policy = Policy(cell).double()
    x, actions, gains = noise(B, T, INPUT), torch.randint(ACTIONS, (B, T)), noise(B, T)
    together = policy.objective(x, actions, gains, first_steps())
    alone = torch.zeros((), dtype=torch.float64)
    for row, lengths in enumerate(EPISODES):
        for begin, end in pairwise([0, *torch.tensor(lengths).cumsum(0).tolist()]):
            episode = slice(row, row + 1), slice(begin, end)
            alone = alone + policy.objective(x[episode], actions[episode], gains[episode])
    torch.testing.assert_close(together, alone)
    parameters = list(policy.parameters())
    torch.testing.assert_close(torch.autograd.grad(together, parameters), torch.autograd.grad(alone, parameters))


def test_an_episode_goes_on_in_the_next_window() -> None:
    """A window that begins inside an episode continues from the carried state, unless its first step resets."""
    network, x, resets = (
        Recurrent(cell_factory("gru"), INPUT, hidden_size=H, num_layers=2).double(),
        noise(B, T, INPUT),
        first_steps(),
    )
    whole, last = network(x, Steps(resets=resets))
    outputs, state = [], None
    for begin, end in pairwise([0, 3, 4, 5, 12, T]):
        window, state = network(x[:, begin:end], Steps(resets=resets[:, begin:end]), state)
        outputs.append(window)
        state = detach(state)
    torch.testing.assert_close(torch.cat(outputs, 1), whole)
    torch.testing.assert_close(flatten(state), flatten(last))


def test_no_gradient_passes_a_reset() -> None:
    cell, x = seqzoo.create_cell("lstm", INPUT, H), torch.randn(1, 6, INPUT, requires_grad=True)
    state = tuple(torch.randn(1, H, requires_grad=True) for _ in range(2))
    resets = torch.arange(6)[None] == 2
    outputs, _ = cell.scan(x, state, Steps(resets=resets))
    read, *carried = torch.autograd.grad(outputs[:, 2:].sum(), [x, *state])
    assert not read[:, :2].any()
    assert read[:, 2:].abs().sum(2).all()
    assert not any(part.any() for part in carried)


@pytest.mark.parametrize("options", [{"zoneout": 0.3}, {"recurrent_dropout": 0.3}, {"weight_drop": 0.3}])
def test_each_segment_has_its_own_random_numbers(options: dict[str, float]) -> None:
    """As if the segments had been separate rows, in training, too."""
    cell = seqzoo.create_cell("lstm", INPUT, H, engine="reference", **options)
    x, resets = torch.randn(2, 5, INPUT), torch.zeros(2, 5, dtype=torch.bool)
    resets[0, 3] = resets[1, 1] = True
    rows = torch.stack([nn.functional.pad(x[row, begin:end], (0, 0, 0, 4 - end + begin)) for row, begin, end in CUTS])
    torch.manual_seed(1)
    outputs, after = cell.scan(x, None, Steps(resets=resets))
    torch.manual_seed(1)
    cut, after_rows = cell.scan(rows, None, torch.tensor([end - begin for _, begin, end in CUTS]))
    for number, (row, begin, end) in enumerate(CUTS):
        assert torch.equal(outputs[row, begin:end], cut[number, : end - begin])
    assert all(torch.equal(part, other[[1, 3]]) for part, other in zip(after, after_rows, strict=True))


CUTS = [(0, 0, 3), (0, 3, 5), (1, 0, 1), (1, 1, 5)]


def test_rnn_takes_resets_in_the_order_of_its_input() -> None:
    rnn = seqzoo.RNN("gru", INPUT, H, 2, bidirectional=True)
    x, resets = torch.randn(T, B, INPUT), first_steps().T
    outputs, state = rnn(x, resets=resets)
    rows, row_state = seqzoo.RNN.forward(by_rows(rnn), x.transpose(0, 1), resets=resets.T)
    torch.testing.assert_close(rows.transpose(0, 1), outputs)
    torch.testing.assert_close(row_state, state)
    alone, _ = by_rows(rnn, False)(x[:, 1], resets=resets[:, 1])
    torch.testing.assert_close(alone, outputs[:, 1])
    for begin, end in pairwise([0, 3, 4, 13, 18, 21]):
        torch.testing.assert_close(rnn(x[begin:end, 1])[0], outputs[begin:end, 1])
    with pytest.raises(RuntimeError, match=r"resets are \(3, 21\): they must be \(21, 3\), one for each step"):
        rnn(x, resets=resets.T)
    with pytest.raises(TypeError, match=r"resets are torch\.int64: they must be a tensor of torch\.bool"):
        rnn(x, resets=resets.long())
    packed = nn.utils.rnn.pack_padded_sequence(x, torch.full((B,), T))
    with pytest.raises(ValueError, match="resets are given with a PackedSequence"):
        rnn(packed, resets=resets)


def by_rows(rnn: seqzoo.RNN, batch_first: bool = True) -> seqzoo.RNN:
    rnn.batch_first = batch_first
    return rnn


def test_without_a_reset_nothing_changes() -> None:
    """Bit for bit, as in most windows of long episodes."""
    network, x = Recurrent(cell_factory("lstm"), INPUT, hidden_size=H, bidirectional=True), torch.randn(B, T, INPUT)
    none = torch.zeros(B, T, dtype=torch.bool)
    for lengths in (None, torch.tensor([21, 0, 4])):
        outputs, state = network(x, Steps(lengths, none))
        others, other_state = network(x, lengths)
        assert torch.equal(outputs, others)
        assert all(map(torch.equal, flatten(state), flatten(other_state)))


class TimedElman(Cell):
    """Reads the time since the previous step as an additional input."""

    supports = ("resets", "elapsed")

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.input_size, self.hidden_size, self.output_size = input_size + 1, hidden_size, hidden_size
        self.cell = nn.RNNCell(input_size + 1, hidden_size)

    def initial_state(self, batch_size: int) -> State:
        return (self.cell.weight_hh.new_zeros(batch_size, self.hidden_size),)

    def step(self, p: Tensor, state: State) -> tuple[Tensor, State]:
        h = self.cell(p, state[0])
        return h, (h,)

    def scan(self, x: Tensor, state: State | None = None, steps: Steps | Tensor | None = None) -> tuple[Tensor, State]:
        steps = supported(steps, self)
        assert steps.elapsed is not None
        return super().scan(torch.cat([x, steps.elapsed[..., None]], -1), state, steps._replace(elapsed=None))


def test_the_time_between_steps_reaches_a_cell_that_reads_it() -> None:
    network = Recurrent(TimedElman, INPUT, hidden_size=H)
    x, elapsed, resets = torch.randn(B, T, INPUT), torch.rand(B, T), first_steps()
    outputs, _ = network(x, Steps(elapsed=elapsed, resets=resets))
    alone, _ = network(x[1:2, 4:13], Steps(elapsed=elapsed[1:2, 4:13]))
    torch.testing.assert_close(outputs[1:2, 4:13], alone)
    assert not torch.allclose(network(x, Steps(elapsed=2 * elapsed, resets=resets))[0], outputs)


@pytest.mark.parametrize(
    ("steps", "meaning"),
    [
        (Steps(elapsed=torch.rand(B, T)), r"`elapsed` \(the time between steps\)"),
        (Steps(parents=torch.arange(T).expand(B, T)), r"`parents` \(the parents of a tree's nodes\)"),
        (Steps(grid=(3, 7)), r"`grid` \(the shape of a grid\)"),
    ],
    ids=lambda value: getattr(value, "structure", [""])[0],
)
def test_what_is_not_supported_is_refused(steps: Steps, meaning: str) -> None:
    x = torch.randn(B, T, INPUT)
    both = Recurrent(TimedElman, INPUT, hidden_size=H, bidirectional=True)
    [field] = steps.structure
    cell = {"GRU": seqzoo.create_cell("gru", INPUT, H).scan} if field == "elapsed" else {}  # cells read trees and grids
    for name, reader in {**cell, "Recurrent": both}.items():
        with pytest.raises(ValueError, match=f"^{name} does not support {meaning}: choose one that does"):
            reader(x, steps=steps)
    model, _ = seqzoo.build(
        "task=tagging", "debug=tiny", "data.train_size=8", "data.validation_size=8", "data.test_size=8"
    )
    batch = Batch(torch.ones(B, T, dtype=torch.long), torch.full((B,), T), **{field: getattr(steps, field)})
    with pytest.raises(ValueError, match=f"does not support `{field}`"):
        model.encode(batch)


@pytest.mark.parametrize(("backbone", "structure"), [("bidirectional", "elapsed"), ("pyramidal", "resets")])
def test_data_that_a_backbone_cannot_read_is_refused_before_it_is_read(
    backbone: str, structure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose("task=classification", f"backbone={backbone}", "debug=tiny")
    assert examine(config)[1] == []
    monkeypatch.setattr(DataModule, "structure", (structure,))
    monkeypatch.setattr(DataModule, "load", None)
    [mistake] = examine(config)[1]
    assert mistake.startswith(f"backbone={backbone} does not support `{structure}` (")


@pytest.mark.parametrize(
    ("resets", "message"),
    [
        (torch.zeros(B, T), r"resets are torch\.float32: they must be a tensor of torch\.bool"),
        (torch.zeros(T, B, dtype=torch.bool), r"resets are \(21, 3\): the input has \(3, 21\) rows and steps"),
        ([0, 1], "resets are a list: they must be a tensor"),
    ],
    ids=["numbers", "transposed", "list"],
)
def test_other_resets_are_refused(resets: Tensor, message: str) -> None:
    x, network = torch.randn(B, T, INPUT), Recurrent(cell_factory("gru"), INPUT, hidden_size=H)
    for run in (network, network.layers[0].directions[0].scan):
        with pytest.raises(ValueError, match=message):
            run(x, steps=Steps(resets=resets))


def test_a_call_of_a_cell_takes_lengths_alone() -> None:
    cell = seqzoo.create_cell("gru", INPUT, H)
    with pytest.raises(ValueError, match=r"a call of GRU takes lengths only: pass Steps to its `scan`"):
        cell(torch.randn(B, T, INPUT), None, Steps(resets=first_steps()))


def test_a_state_of_other_rows_is_refused() -> None:
    network, x = Recurrent(cell_factory("gru"), INPUT, hidden_size=H), torch.randn(B, T, INPUT)
    with pytest.raises(ValueError, match=r"the state has shapes .*: it must have "):
        network(x, Steps(resets=first_steps()), network.initial_state(2))


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_resets_without_values_are_refused() -> None:
    rnn, x, resets = seqzoo.RNN("gru", INPUT, H), torch.randn(T, B, INPUT), first_steps().T
    with pytest.raises(ValueError, match="rows are cut by the values of resets"):
        torch.jit.trace(lambda x: rnn(x, resets=resets)[0], x)
    with pytest.raises(ValueError, match="rows are cut by the values of resets"):
        torch.export.export(rnn, (x,), {"resets": resets}, strict=False)


def test_a_batch_keeps_its_resets() -> None:
    batch = Batch(torch.ones(B, T), torch.full((B,), T), resets=first_steps(), padded=False)
    assert torch.equal(batch.first(2).to(torch.device("cpu")).steps.resets, first_steps()[:2])
    assert batch.steps.lengths is None
