"""Time all implementations of a scan over a sequence, alternating in one process.

python scripts/benchmark.py                   # writes results/speed_cpu.csv, docs/SPEED.md and docs/speed_cpu.png
python scripts/benchmark.py --device cuda     # the same for a GPU, into results/speed_gpu.csv

Before they are timed, implementations with the same weights must give the same outputs and gradients. Other libraries
are included if they are installed: pip install keras sru torchrecurrent (and KERAS_BACKEND=torch), on a GPU flashrnn.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import gc
import importlib
import importlib.metadata
import os
import runpy
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import seqzoo
from seqzoo.analysis.catalogue import cell_info
from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.cells.cell import Cell
from seqzoo.configuration import registry
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.batch import Batch
from seqzoo.runs.provenance import commit, hardware
from seqzoo.training import loop
from seqzoo.training.session import Session

SCRIPTS = Path(__file__).resolve().parent
TABLES = {"cpu": SCRIPTS.parent / "results/speed_cpu.csv", "cuda": SCRIPTS.parent / "results/speed_gpu.csv"}
COLUMNS = (
    "part", "cell", "pass", "T", "B", "I", "H", "implementation", "milliseconds", "ratio", "kept_mib",
    "device", "threads", "torch", "command", "commit", "date",
)  # fmt: skip
# T, B, I, H; the first is that of pytorch/benchmarks/fastrnns
SHAPES = [(100, 64, 512, 512), (100, 32, 256, 256), (200, 16, 128, 256), (35, 20, 200, 200), (100, 1, 128, 128)]
TORCH = {"lstm": (nn.LSTM, nn.LSTMCell), "gru": (nn.GRU, nn.GRUCell), "elman": (nn.RNN, nn.RNNCell)}
# a choice: what each needs of an engine differs (gates in series, normalisation, products of states, two equations)
VARIANTS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "peephole_lstm": ("peephole_lstm", {}, "PeepholeLSTM"),
    "coupled_lstm": ("coupled_lstm", {}, None),
    "layer_norm_lstm": ("layer_norm_lstm", {}, None),
    "lstm zoneout=0.1": ("lstm", {"zoneout": 0.1}, None),
    "li_gru": ("li_gru", {}, "LiGRU"),
    "mgu": ("mgu", {}, "MGU"),
    "gru_reset_before": ("gru_reset_before", {}, None),
    "s_lstm": ("s_lstm", {}, None),
    "lem": ("lem", {}, "LEM"),
    "recurrent_highway": ("recurrent_highway", {}, None),
}
LONG = (1024, 4096, 16384)
SECONDS, FEWEST, MOST = 1.5, 3, 25
# a pass of fewer seconds is preceded by an untimed one, because the state of caches and allocator matters
SHORT = 0.05

Scan = Callable[[Tensor], Tensor]
"""(B, T, I) -> (B, T, O)"""


class Measurement(NamedTuple):
    part: str
    cell: str
    what: str
    shape: tuple[int, int, int, int]
    implementation: str
    milliseconds: float
    ratio: float
    kept: float | None = None  # MiB


def engines(cell: Cell, lengths: Tensor | None = None) -> dict[str, Scan]:
    """The engines of seqzoo that support this cell."""
    scans: dict[str, Scan] = {}
    for engine in ("auto", "fused", "torch", "reference"):
        cell.engine = engine
        try:
            with torch.no_grad():
                device = next(cell.parameters()).device
                x, trial = torch.zeros(2, 3, cell.input_size, device=device), torch.tensor([3, 2], device=device)
                cell.scan(x, None, trial)
        except ValueError:
            continue
        scans[f"seqzoo {engine}"] = _by_engine(cell, engine, lengths)
    return scans


def _by_engine(cell: Cell, engine: str, lengths: Tensor | None) -> Scan:
    lengths = None if lengths is None else lengths.to(next(cell.parameters()).device)

    def run(x: Tensor) -> Tensor:
        cell.engine = engine
        return cell.scan(x, None, lengths)[0]

    return run


def torchs(name: str, cell: Cell, lengths: Tensor | None) -> dict[str, Scan]:
    """nn.LSTM, nn.GRU or nn.RNN with the weights of the cell, and a loop over nn.LSTMCell and so on."""
    whole, single = (kind(cell.input_size, cell.hidden_size) for kind in TORCH[name])
    whole.batch_first = True
    whole.load_state_dict({f"{key}_l0": value for key, value in cell.state_dict().items()})
    single.load_state_dict(cell.state_dict())
    for network in (whole, single):
        network.to(next(cell.parameters()).device)

    def by_cell(x: Tensor) -> Tensor:
        state, outputs = None, []
        for step in x.unbind(1):
            state = single(step, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs, 1)

    if lengths is None:
        return {f"nn.{type(whole).__name__}": lambda x: whole(x)[0], f"loop over nn.{type(single).__name__}": by_cell}

    def packed(x: Tensor) -> Tensor:
        sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(whole(sequence)[0], batch_first=True, total_length=x.shape[1])[0]

    return {f"nn.{type(whole).__name__} padded": lambda x: whole(x)[0], f"nn.{type(whole).__name__} packed": packed}


def stepping(cell: Cell) -> dict[str, Scan]:
    """A loop over single steps, as in a decoder: the input of each step is projected on its own."""

    def run(x: Tensor) -> Tensor:
        state, outputs = cell.initial_state(x.shape[0]), []
        for step in x.unbind(1):
            output, state = cell(step, state)
            outputs.append(output)
        return torch.stack(outputs, 1)

    return {"loop over the cell": run}


def peer(package: str, make: Callable[[Any], Scan]) -> dict[str, Scan]:
    """The implementation of another library; empty if it is not installed."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(package)
    except ImportError:
        return {}
    return {f"{package} {importlib.metadata.version(package)}": make(module)}


def _torchrecurrent(name: str, inputs: int, hidden: int, device: torch.device) -> dict[str, Scan]:
    def make(module: Any) -> Scan:
        network = getattr(module, name)(inputs, hidden, batch_first=True).to(device)
        return lambda x: network(x)[0]

    return peer("torchrecurrent", make)


def _keras(name: str, hidden: int) -> dict[str, Scan]:
    def make(module: Any) -> Scan:
        kind = {"lstm": "LSTM", "gru": "GRU", "elman": "SimpleRNN"}[name]
        return getattr(module.layers, kind)(hidden, return_sequences=True)

    return peer("keras", make)


def _sru(hidden: int, device: torch.device) -> dict[str, Scan]:
    def make(module: Any) -> Scan:
        network = module.SRU(hidden, hidden, num_layers=1).to(device)
        return lambda x: network(x.transpose(0, 1))[0].transpose(0, 1)

    return peer("sru", make)


def _flashrnn(inputs: int, hidden: int, layers: int, x: Tensor, backend: str = "cuda_fused") -> dict[str, Scan]:
    """LSTM layers of flashrnn with one head and random weights of the dtype of x."""

    def make(module: Any) -> Scan:
        like = {"device": x.device, "dtype": x.dtype}
        projections = [nn.Linear(inputs if n == 0 else hidden, 4 * hidden, bias=False, **like) for n in range(layers)]
        recurrent = [(torch.randn(4, 1, hidden, hidden, **like) / hidden**0.5).requires_grad_() for _ in range(layers)]
        biases = [torch.zeros(4, 1, hidden, requires_grad=True, **like) for _ in range(layers)]

        def run(x: Tensor) -> Tensor:
            for project, weight, bias in zip(projections, recurrent, biases, strict=True):
                gates = project(x).unflatten(-1, (4, 1, hidden))
                states, _ = module.flashrnn(gates, weight, bias, function="lstm", backend=backend)
                x = states[0].flatten(2)
            return x

        return run

    return peer("flashrnn", make)


def agree(scans: dict[str, Scan], x: Tensor, what: str, most: float = 1e-3) -> None:
    """Check that implementations with the same weights agree; raises AssertionError for a relative distance of `most`
    or more in outputs or gradients.
    """
    results = {}
    for name, scan in scans.items():
        leaf = x.detach().requires_grad_()
        outputs = scan(leaf)
        weights = torch.linspace(-1, 1, outputs.numel(), device=x.device).view_as(outputs)
        results[name] = (outputs.detach(), torch.autograd.grad((outputs * weights).sum(), leaf)[0])
    (first, expected), *others = results.items()
    for name, actual in others:
        for tensor, reference in zip(actual, expected, strict=True):
            distance = (tensor - reference).norm() / reference.norm()
            assert distance < most, f"{what}: {name} differs from {first} by {distance:.2g}"


def measure(scans: dict[str, Scan], x: Tensor, training: bool) -> dict[str, float]:
    """Milliseconds per pass, the median over rounds in which all implementations alternate."""

    def once(scan: Scan) -> None:
        leaf = x.detach().requires_grad_(training)
        with torch.set_grad_enabled(training), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = scan(leaf)
            if training:
                outputs.sum().backward()

    return _in_turns({name: functools.partial(once, scan) for name, scan in scans.items()})


def kept_for_backward(scan: Scan, x: Tensor) -> float:
    """MiB that a forward pass keeps for the backward pass, without parameters and the input."""
    sizes: dict[int, int] = {}

    def count(tensor: Tensor) -> None:
        # returns nothing: a node that kept its own output would create a reference cycle
        if not isinstance(tensor, nn.Parameter):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()

    leaf = x.detach().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = scan(leaf)
    sizes.pop(leaf.untyped_storage().data_ptr(), None)
    del outputs
    return sum(sizes.values()) / 2**20


def _in_turns(runs: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median milliseconds of each function, which alternate."""

    def seconds(run: Callable[[], None]) -> float:
        start = time.perf_counter()
        run()
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()
        return time.perf_counter() - start

    gc.collect()
    longest = max(max(seconds(run), seconds(run)) for run in runs.values())
    times: dict[str, list[float]] = {name: [] for name in runs}
    # functions that take seconds are run once
    for _ in range(1 if longest > SECONDS else max(FEWEST, min(MOST, int(SECONDS / longest)))):
        for name, run in runs.items():
            if longest < SHORT:
                run()
            times[name].append(seconds(run))
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def against_torch(device: torch.device) -> Iterator[Measurement]:
    """Equal lengths, and lengths from 20 to 100 %. Ratio: relative to the fastest implementation of torch.nn."""
    for name in TORCH:
        for shape in SHAPES:
            steps, rows, inputs, hidden = shape
            for part in ("equal", "lengths") if rows > 1 else ("equal",):
                torch.manual_seed(0)
                cell = seqzoo.create_cell(name, inputs, hidden).to(device)
                x = torch.randn(rows, steps, inputs, device=device)
                lengths = None
                if part == "lengths":
                    lengths = torch.linspace(0.2 * steps, steps, rows).round().long()[torch.randperm(rows)]
                of_torch = torchs(name, cell, lengths)
                scans = of_torch | engines(cell, lengths)
                agree({key: scan for key, scan in scans.items() if "padded" not in key}, x, f"{name} {shape} {part}")
                for training in (True, False):
                    # keras takes seconds where others take milliseconds
                    small = part == "equal" and training and steps * rows * hidden < 1_000_000
                    scans |= _keras(name, hidden) if small else {}
                    times = measure(scans, x, training)
                    best = min(times[key] for key in of_torch)
                    what = "training" if training else "forward"
                    for implementation, spent in times.items():
                        kept = kept_for_backward(scans[implementation], x) if training else None
                        yield Measurement(part, name, what, shape, implementation, spent, best / spent, kept)


def variants(device: torch.device) -> Iterator[Measurement]:
    """Cells that torch does not have. Ratio: multiplications per second relative to nn.LSTM in the same rounds."""
    for label, (name, options, other) in VARIANTS.items():
        for shape in ((100, 32, 256, 256), (100, 1, 128, 128)):
            steps, rows, inputs, hidden = shape
            torch.manual_seed(0)
            cell = seqzoo.create_cell(name, inputs, hidden, **options).to(device)
            x = torch.randn(rows, steps, inputs, device=device)
            lstm = seqzoo.create_cell("lstm", inputs, hidden).to(device)
            scans = stepping(cell) | engines(cell)
            if not options:
                agree(scans, x, f"{label} {shape}")
            scans = {"nn.LSTM": torchs("lstm", lstm, None)["nn.LSTM"], **scans}
            scans |= _torchrecurrent(other, inputs, hidden, device) if other else {}
            times = measure(scans, x, training=True)
            share = _multiplications(cell) / _multiplications(lstm)
            for implementation, spent in times.items():
                relative = times["nn.LSTM"] / spent * (1 if implementation == "nn.LSTM" else share)
                kept = kept_for_backward(scans[implementation], x)
                yield Measurement("variants", label, "training", shape, implementation, spent, relative, kept)


def _multiplications(cell: Cell) -> int:
    """The number of multiplications per step: the elements of the matrices."""
    return sum(parameter.numel() for parameter in cell.parameters() if parameter.dim() > 1)


def linear(device: torch.device) -> Iterator[Measurement]:
    """Cells that are parallel in time, over long sequences. Ratio: relative to a loop over the cell."""
    for name in (name for name in registry.names("cell") if cell_info(name).linear):
        for steps in LONG:
            shape = (steps, 4, 128, 128)
            torch.manual_seed(0)
            cell, x = seqzoo.create_cell(name, 128, 128).to(device), torch.randn(4, steps, 128, device=device)
            scans = stepping(cell) | engines(cell)
            agree(scans, x, f"{name} {shape}")
            scans |= _sru(128, device) if name == "sru" and steps < LONG[-1] else {}
            times = measure(scans, x, training=True)
            for implementation, spent in times.items():
                ratio, kept = times["loop over the cell"] / spent, kept_for_backward(scans[implementation], x)
                yield Measurement("linear", name, "training", shape, implementation, spent, ratio, kept)


def low_precision(device: torch.device) -> Iterator[Measurement]:
    """Two layers in bfloat16. Ratio: relative to torch.nn."""
    for name in ("lstm", "gru"):
        for shape in SHAPES:
            steps, rows, inputs, hidden = shape
            torch.manual_seed(0)
            original = TORCH[name][0](inputs, hidden, num_layers=2, batch_first=True).to(device, torch.bfloat16)
            ours = seqzoo.RNN(name, inputs, hidden, num_layers=2, batch_first=True).to(device, torch.bfloat16)
            with torch.no_grad():
                for parameter, value in zip(ours.parameters(), original.parameters(), strict=True):
                    parameter.copy_(value)
            x = torch.randn(rows, steps, inputs, device=device, dtype=torch.bfloat16)
            torch_name = f"nn.{type(original).__name__}"
            scans: dict[str, Scan] = {
                torch_name: lambda x, network=original: network(x)[0],
                "seqzoo auto": lambda x, network=ours: network(x)[0],
            }
            agree(scans, x, f"{name} {shape} in bfloat16", most=0.1)
            scans |= _flashrnn(inputs, hidden, 2, x) if name == "lstm" and x.is_cuda else {}
            for training in (True, False):
                times = measure(scans, x, training)
                for implementation, spent in times.items():
                    what, ratio = "training" if training else "forward", times[torch_name] / spent
                    yield Measurement("bfloat16", name, what, shape, implementation, spent, ratio)


class _ByHand(nn.Module):
    """A hand-written version of the same model: embeddings, nn.LSTM, a linear layer, and its updates."""

    def __init__(self, model: Any, bidirectional: bool):
        super().__init__()
        self.bidirectional = bidirectional
        self.embed = nn.Embedding(*model.encoder.embedding.weight.shape)
        hidden = model.backbone.layers[0][0].hidden_size
        self.lstm = nn.LSTM(self.embed.embedding_dim, hidden, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), model.task.spec.output_size)
        self.optimizer = torch.optim.AdamW(self.parameters(), lr=1e-4)

    def update(self, batch: Batch, state: Any) -> Any:
        x = self.embed(batch.inputs)
        if batch.padded:
            packed = pack_padded_sequence(x, batch.lengths, batch_first=True, enforce_sorted=False)
            outputs, state = self.lstm(packed, state)
            outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=x.shape[1])
            real = torch.arange(x.shape[1]) < batch.lengths[:, None]
            loss = nn.functional.cross_entropy(self.head(outputs[real]), batch.targets[real])
        else:
            outputs, state = self.lstm(x, state)
            loss = nn.functional.cross_entropy(self.head(outputs).flatten(0, 1), batch.targets.flatten())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters(), 1.0)
        self.optimizer.step()
        return tuple(part.detach() for part in state)


def training_loop(device: torch.device) -> Iterator[Measurement]:
    """Whole updates of a language model and of a tagger. Ratio: relative to a hand-written loop around nn.LSTM."""
    settings = {
        "language_modeling": ["data.batch_size=16", "data.window=64", "encoder.embedding_size=64"],
        "tagging": ["backbone=bidirectional", "data.train_size=2000", "encoder.embedding_size=64"],
    }
    for task, overrides in settings.items():
        config = compose(f"task={task}", *overrides, "backbone.hidden_size=256", "training.learning_rate=1e-4")
        data = build_data(config)
        data.load()
        torch.manual_seed(0)
        model = build_model(config, data.spec)
        model.to(device)
        session = Session(model, config.training, device, total_steps=10_000)
        batches = [batch.to(device) for batch in islice(data.batches("train"), 10)]
        by_hand = _ByHand(model, bidirectional=task == "tagging").to(device)

        def whole(session: Session = session, batches: list = batches, stateful: bool = data.stateful) -> None:
            session.state = None
            for batch in batches:
                loop.update(session, [batch], stateful)

        def plain(by_hand: _ByHand = by_hand, batches: list = batches, stateful: bool = data.stateful) -> None:
            state = None
            for batch in batches:
                state = by_hand.update(batch, state) if stateful else by_hand.update(batch, None) and None

        times = _in_turns({"nn.LSTM by hand": plain, "seqzoo auto": whole})
        steps, rows = batches[0].inputs.shape[1], batches[0].size
        for implementation, spent in times.items():
            shape = (steps, rows, 64, 256)
            ratio = times["nn.LSTM by hand"] / spent
            yield Measurement("loop", task, "training", shape, implementation, spent / 10, ratio)


# groups of measurements, and the parts of the table that they write
GROUPS: dict[str, tuple[Callable[[torch.device], Iterator[Measurement]], tuple[str, ...]]] = {
    "loop": (training_loop, ("loop",)),
    "torch": (against_torch, ("equal", "lengths")),
    "variants": (variants, ("variants",)),
    "linear": (linear, ("linear",)),
    "bfloat16": (low_precision, ("bfloat16",)),
}


def record(groups: list[str], device: torch.device, threads: int) -> None:
    """Measure groups, and replace the rows of the table with the same groups and number of threads."""
    chosen = f"--threads {threads}" if device.type == "cpu" else f"--device {device.type}"
    table = TABLES[device.type]
    common = {
        "device": hardware(device), "threads": str(threads), "torch": torch.__version__.partition("+")[0],
        "command": f"python scripts/benchmark.py {chosen}", "commit": str(commit()),
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    replaced = {part for group in groups for part in GROUPS[group][1]}
    rows = [row for row in read_table(table) if row["threads"] != str(threads) or row["part"] not in replaced]
    measurements = (measurement for group in groups for measurement in GROUPS[group][0](device))
    for part, cell, what, shape, implementation, milliseconds, ratio, kept in measurements:
        sizes = dict(zip("TBIH", map(str, shape), strict=True))
        spent, relative = f"{milliseconds:.4g}", f"{ratio:.3g}"
        rows.append({"part": part, "cell": cell, "pass": what, **sizes, "implementation": implementation,
                     "milliseconds": spent, "ratio": relative,
                     "kept_mib": "" if kept is None else f"{kept:.3g}", **common})  # fmt: skip
        write_table(table, COLUMNS, rows)  # after each measurement, in case of an interruption
        print(f"{part:9}{cell:18}{what:9}{shape!s:22}{implementation:26}{spent:>9} ms {relative:>7}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=list(TABLES), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), help="what to measure; bfloat16 only on a GPU")
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: torch sees no GPU on this machine")
    if device.type == "cpu" and "bfloat16" in (chosen.only or []):
        parser.error("--only bfloat16 is for --device cuda: on some CPUs it ends the process")
    torch.set_num_threads(chosen.threads)
    groups = chosen.only or [group for group in GROUPS if group != "bfloat16" or device.type == "cuda"]
    record(groups, device, chosen.threads)
    runpy.run_path(str(SCRIPTS / "speed_page.py"), run_name="__main__")


if __name__ == "__main__":
    main()
