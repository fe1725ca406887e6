"""Time every way over a sequence side by side, in one process, one after the other in turns.

python scripts/benchmark.py            # writes results/speed_cpu.csv, docs/SPEED.md and docs/speed_cpu.png
python scripts/benchmark.py --page     # only the page and the picture, from the table

Before anything is timed, the ways that hold the same weights must give the same outputs and gradients. Peers join where
they are installed: pip install keras sru torchrecurrent (and KERAS_BACKEND=torch).
"""

from __future__ import annotations

import argparse
import csv
import datetime
import functools
import gc
import importlib
import importlib.metadata
import math
import os
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
from seqzoo.building import build_data, build_model, build_training
from seqzoo.config import compose
from seqzoo.contracts import Batch, Cell
from seqzoo.provenance import commit, hardware
from seqzoo.training import loop
from seqzoo.training.session import Session

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE, PAGE, PICTURE = (REPOSITORY / name for name in ("results/speed_cpu.csv", "docs/SPEED.md", "docs/speed_cpu.png"))
TOOLKITS = TABLE.with_name("speed_toolkits.csv")  # written by scripts/benchmark_toolkits.py
COLUMNS = (
    "part", "cell", "pass", "T", "B", "I", "H", "way", "milliseconds", "ratio", "kept_mib", "device", "threads",
    "torch", "command", "commit", "date",
)  # fmt: skip
# T, B, I, H; the first is that of pytorch/benchmarks/fastrnns
SHAPES = [(100, 64, 512, 512), (100, 32, 256, 256), (200, 16, 128, 256), (35, 20, 200, 200), (100, 1, 128, 128)]
TORCH = {"lstm": (nn.LSTM, nn.LSTMCell), "gru": (nn.GRU, nn.GRUCell), "elman": (nn.RNN, nn.RNNCell)}
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
LINEAR = ("min_gru", "min_lstm", "sru", "qrnn", "lru", "hgrn")
LONG = (1024, 4096, 16384)
SECONDS, FEWEST, MOST = 1.5, 3, 25

Way = Callable[[Tensor], Tensor]
"""(B, T, I) -> (B, T, O)"""


class Measurement(NamedTuple):
    part: str
    cell: str
    what: str
    shape: tuple[int, int, int, int]
    way: str
    milliseconds: float
    ratio: float
    kept: float | None = None  # MiB


def engines(cell: Cell, lengths: Tensor | None = None) -> dict[str, Way]:
    """The ways of seqzoo that run this cell."""
    ways: dict[str, Way] = {}
    for engine in ("auto", "fused", "torch", "reference"):
        cell.engine = engine
        try:
            with torch.no_grad():
                cell.scan(torch.zeros(2, 3, cell.input_size), None, torch.tensor([3, 2]))
        except ValueError:
            continue
        ways[f"seqzoo {engine}"] = _by_engine(cell, engine, lengths)
    return ways


def _by_engine(cell: Cell, engine: str, lengths: Tensor | None) -> Way:
    def run(x: Tensor) -> Tensor:
        cell.engine = engine
        return cell.scan(x, None, lengths)[0]

    return run


def torchs(name: str, cell: Cell, lengths: Tensor | None) -> dict[str, Way]:
    """nn.LSTM, nn.GRU or nn.RNN with the weights of the cell, and a loop over nn.LSTMCell and so on."""
    whole, single = (kind(cell.input_size, cell.hidden_size) for kind in TORCH[name])
    whole.batch_first = True
    whole.load_state_dict({f"{key}_l0": value for key, value in cell.state_dict().items()})
    single.load_state_dict(cell.state_dict())

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


def peer(package: str, make: Callable[[Any], Way]) -> dict[str, Way]:
    """A way of another library, where it is installed."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module(package)
    except ImportError:
        return {}
    return {f"{package} {importlib.metadata.version(package)}": make(module)}


def _torchrecurrent(name: str, inputs: int, hidden: int) -> dict[str, Way]:
    def make(module: Any) -> Way:
        network = getattr(module, name)(inputs, hidden, batch_first=True)
        return lambda x: network(x)[0]

    return peer("torchrecurrent", make)


def _keras(name: str, hidden: int) -> dict[str, Way]:
    def make(module: Any) -> Way:
        kind = {"lstm": "LSTM", "gru": "GRU", "elman": "SimpleRNN"}[name]
        return getattr(module.layers, kind)(hidden, return_sequences=True)

    return peer("keras", make)


def _sru(hidden: int) -> dict[str, Way]:
    def make(module: Any) -> Way:
        network = module.SRU(hidden, hidden, num_layers=1)
        return lambda x: network(x.transpose(0, 1))[0].transpose(0, 1)

    return peer("sru", make)


def agree(ways: dict[str, Way], x: Tensor, what: str) -> None:
    """Ways that hold the same weights give the same; raises AssertionError with the one that does not."""
    results = {}
    for name, way in ways.items():
        leaf = x.detach().requires_grad_()
        outputs = way(leaf)
        weights = torch.linspace(-1, 1, outputs.numel()).view_as(outputs)
        results[name] = (outputs.detach(), torch.autograd.grad((outputs * weights).sum(), leaf)[0])
    (first, expected), *others = results.items()
    for name, found in others:
        for one, other in zip(found, expected, strict=True):
            distance = (one - other).norm() / other.norm()
            assert distance < 1e-3, f"{what}: {name} differs from {first} by {distance:.2g}"


def measure(ways: dict[str, Way], x: Tensor, training: bool) -> dict[str, float]:
    """Milliseconds a pass, the median over rounds in which all ways take turns."""

    def once(way: Way) -> None:
        leaf = x.detach().requires_grad_(training)
        with torch.set_grad_enabled(training), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs = way(leaf)
            if training:
                outputs.sum().backward()

    return _in_turns({name: functools.partial(once, way) for name, way in ways.items()})


def kept_for_backward(way: Way, x: Tensor) -> float:
    """MiB of what a forward pass keeps for the backward one; parameters and the input are there anyway."""
    sizes: dict[int, int] = {}

    def count(tensor: Tensor) -> None:
        # nothing is handed back: a node that held its own output would keep the whole graph for ever
        if not isinstance(tensor, nn.Parameter):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()

    leaf = x.detach().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = way(leaf)
    sizes.pop(leaf.untyped_storage().data_ptr(), None)
    del outputs
    return sum(sizes.values()) / 2**20


def _in_turns(runs: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Milliseconds of each, medians."""

    def seconds(run: Callable[[], None]) -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    gc.collect()
    longest = max(max(seconds(run), seconds(run)) for run in runs.values())
    times: dict[str, list[float]] = {name: [] for name in runs}
    # what takes seconds needs no median of many
    for _ in range(1 if longest > SECONDS else max(FEWEST, min(MOST, int(SECONDS / longest)))):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def against_torch() -> Iterator[Measurement]:
    """Equal lengths, and lengths spread from 20 to 100 %; ratio: of the fastest way of torch.nn."""
    for name in TORCH:
        for shape in SHAPES:
            steps, rows, inputs, hidden = shape
            for part in ("equal", "lengths") if rows > 1 else ("equal",):
                torch.manual_seed(0)
                cell, x = seqzoo.create_cell(name, inputs, hidden), torch.randn(rows, steps, inputs)
                lengths = None
                if part == "lengths":
                    lengths = torch.linspace(0.2 * steps, steps, rows).round().long()[torch.randperm(rows)]
                own = torchs(name, cell, lengths)
                ways = own | engines(cell, lengths)
                agree({key: way for key, way in ways.items() if "padded" not in key}, x, f"{name} {shape} {part}")
                for training in (True, False):
                    # keras takes seconds where others take milliseconds
                    small = part == "equal" and training and steps * rows * hidden < 1_000_000
                    ways |= _keras(name, hidden) if small else {}
                    found = measure(ways, x, training)
                    best = min(found[key] for key in own)
                    what = "training" if training else "forward"
                    for way, spent in found.items():
                        kept = kept_for_backward(ways[way], x) if training else None
                        yield Measurement(part, name, what, shape, way, spent, best / spent, kept)


def variants() -> Iterator[Measurement]:
    """Cells that torch does not have; ratio: multiplications a second, as a share of nn.LSTM's in the same turns."""
    for label, (name, options, other) in VARIANTS.items():
        for shape in ((100, 32, 256, 256), (100, 1, 128, 128)):
            steps, rows, inputs, hidden = shape
            torch.manual_seed(0)
            cell, x = seqzoo.create_cell(name, inputs, hidden, **options), torch.randn(rows, steps, inputs)
            lstm = seqzoo.create_cell("lstm", inputs, hidden)
            ways = engines(cell) | (_torchrecurrent(other, inputs, hidden) if other else {})
            if not options:
                agree({key: way for key, way in ways.items() if key.startswith("seqzoo")}, x, f"{label} {shape}")
            ways = {"nn.LSTM": torchs("lstm", lstm, None)["nn.LSTM"], **ways}
            found = measure(ways, x, training=True)
            share = _multiplications(cell) / _multiplications(lstm)
            for way, spent in found.items():
                relative = found["nn.LSTM"] / spent * (1 if way == "nn.LSTM" else share)
                kept = kept_for_backward(ways[way], x)
                yield Measurement("variants", label, "training", shape, way, spent, relative, kept)


def _multiplications(cell: Cell) -> int:
    """Of one step: the numbers in its matrices."""
    return sum(parameter.numel() for parameter in cell.parameters() if parameter.dim() > 1)


def linear() -> Iterator[Measurement]:
    """Cells that need no step after the other, over long sequences; ratio: of stepping."""
    for name in LINEAR:
        for steps in LONG:
            shape = (steps, 4, 128, 128)
            torch.manual_seed(0)
            cell, x = seqzoo.create_cell(name, 128, 128), torch.randn(4, steps, 128)
            ways = engines(cell) | (_sru(128) if name == "sru" and steps < LONG[-1] else {})
            agree({key: way for key, way in ways.items() if key.startswith("seqzoo")}, x, f"{name} {shape}")
            found = measure(ways, x, training=True)
            for way, spent in found.items():
                ratio, kept = found["seqzoo reference"] / spent, kept_for_backward(ways[way], x)
                yield Measurement("linear", name, "training", shape, way, spent, ratio, kept)


class _ByHand(nn.Module):
    """What a person would write for the same model: embeddings, an LSTM of torch's, a linear layer, and its updates."""

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


def training_loop() -> Iterator[Measurement]:
    """Whole updates of a language model and of a tagger; ratio: of a loop written by hand around nn.LSTM."""
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
        session = Session(model, build_training(config), torch.device("cpu"), total_steps=10_000)
        batches = list(islice(data.batches("train"), 10))
        by_hand = _ByHand(model, bidirectional=task == "tagging")

        def whole(session: Session = session, batches: list = batches, stateful: bool = data.stateful) -> None:
            session.state = None
            for batch in batches:
                loop.update(session, [batch], stateful)

        def plain(by_hand: _ByHand = by_hand, batches: list = batches, stateful: bool = data.stateful) -> None:
            state = None
            for batch in batches:
                state = by_hand.update(batch, state) if stateful else by_hand.update(batch, None) and None

        found = _in_turns({"nn.LSTM by hand": plain, "seqzoo auto": whole})
        steps, rows = batches[0].inputs.shape[1], batches[0].size
        for way, spent in found.items():
            shape = (steps, rows, 64, 256)
            yield Measurement("loop", task, "training", shape, way, spent / 10, found["nn.LSTM by hand"] / spent)


# what is measured together, and the parts of the table it fills
GROUPS: dict[str, tuple[Callable[[], Iterator[Measurement]], tuple[str, ...]]] = {
    "loop": (training_loop, ("loop",)),
    "torch": (against_torch, ("equal", "lengths")),
    "variants": (variants, ("variants",)),
    "linear": (linear, ("linear",)),
}


def record(groups: list[str], threads: int) -> None:
    """The rows of these groups and this number of threads take the place of older ones."""
    common = {
        "device": hardware(torch.device("cpu")), "threads": str(threads), "torch": torch.__version__.partition("+")[0],
        "command": f"python scripts/benchmark.py --threads {threads}", "commit": str(commit()),
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    replaced = {part for group in groups for part in GROUPS[group][1]}
    rows = [row for row in read() if row["threads"] != str(threads) or row["part"] not in replaced]
    measurements = (found for group in groups for found in GROUPS[group][0]())
    for part, cell, what, shape, way, milliseconds, ratio, kept in measurements:
        sizes = dict(zip("TBIH", map(str, shape), strict=True))
        spent, relative = f"{milliseconds:.4g}", f"{ratio:.3g}"
        rows.append({"part": part, "cell": cell, "pass": what, **sizes, "way": way, "milliseconds": spent,
                     "ratio": relative, "kept_mib": "" if kept is None else f"{kept:.3g}", **common})  # fmt: skip
        _write(rows)  # what was measured stays when the rest is cut off
        print(f"{part:9}{cell:18}{what:9}{shape!s:22}{way:26}{spent:>9} ms {relative:>7}", flush=True)


def _write(rows: list[dict[str, str]]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(table: Path = TABLE) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


EXPLAINED = {
    "equal": """All rows equally long. Ratio: the time of the faster way of torch.nn, its module or a loop over its
cell, divided by the time of this one.""",
    "lengths": """Lengths spread evenly from 20 to 100 % of T. Ratio: the time of the better of padded and packed
torch.nn, divided by the time of this one.""",
    "variants": """Cells that torch.nn does not have, forward and backward. Ratio: multiplications a second, as a share
of `nn.LSTM`'s in the same turns; a loop over the cell in Python is `seqzoo reference`.""",
    "loop": """Whole updates: forward, backward, clipping, AdamW. Ratio: the time of a loop written by hand around
`nn.LSTM` (packed for the tagger, whose sentences differ in length), divided by the time of seqzoo's.""",
    "linear": """Cells whose steps need not wait for each other, over long sequences, forward and backward. Ratio: the
time of stepping, `seqzoo reference`, divided by the time of this one.""",
}
TOOLKITS_EXPLAINED = """The same layers, batches and optimizer, in turns, over batches from all over an epoch.
Ratio: the time of the toolkit, divided by that of seqzoo."""
INTRODUCTION = f"""# Speed

`python scripts/benchmark.py` measured these numbers (`results/speed_cpu.csv`) and wrote this page. All ways of a line
run in one process in turns; a time is the median in milliseconds; before they are timed, ways that hold the same
weights must agree in outputs and gradients. More is better in every ratio. MiB kept: what a forward pass keeps for the
backward one. `seqzoo auto` is what users get. On a GPU nothing has been measured.

![the ratios of seqzoo auto]({PICTURE.name})
"""


def page(rows: list[dict[str, str]]) -> str:
    """docs/SPEED.md"""
    lines = [INTRODUCTION]
    for threads in sorted({row["threads"] for row in rows}):
        own = [row for row in rows if row["threads"] == threads]
        first = own[0]
        source = f"`{first['command']}` ({', '.join(dict.fromkeys(row['commit'] for row in own))})"
        lines += [
            f"## {threads} thread{'' if threads == '1' else 's'}", "",
            f"{first['device']}, torch {first['torch']}; {source}.", "",
        ]  # fmt: skip
        lines += [*_summary(own), ""]
        for part, text in EXPLAINED.items():
            here = [row for row in own if row["part"] == part]
            if not here:
                continue
            lines += [f"### {part}", "", text, ""]
            lines += ["| cell | pass | T, B, I, H | way | ms | ratio | MiB kept |", "|---|---|---|---|---|---|---|"]
            for row in here:
                shape = ", ".join(row[letter] for letter in "TBIH")
                strong = "**" if row["way"] == "seqzoo auto" else ""
                lines.append(
                    f"| {row['cell']} | {row['pass']} | {shape} | {row['way']} | {row['milliseconds']}"
                    f" | {strong}{row['ratio']}{strong} | {row.get('kept_mib') or ''} |"
                )
            lines.append("")
    return "\n".join([*lines, *_toolkits()]).rstrip() + "\n"


def _toolkits() -> list[str]:
    """What scripts/benchmark_toolkits.py measured."""
    rows = read(TOOLKITS)
    if not rows:
        return []
    first = rows[0]
    measured = f"{first['device']}, {first['threads']} thread, torch {first['torch']}"
    source = f"{measured}; `{first['command']}` ({first['commit']})"
    lines = ["## Whole updates beside toolkits", "", f"{source}.", "", TOOLKITS_EXPLAINED, ""]
    lines += ["| task | way | parameters | batches | seconds | ratio |", "|---|---|---|---|---|---|"]
    for row in rows:
        shown = (row["task"], row["way"], f"{int(row['parameters']):,}", row["batches"], row["seconds"], row["ratio"])
        lines.append(f"| {' | '.join(shown)} |")
    return lines


def _summary(rows: list[dict[str, str]]) -> list[str]:
    """Geometric means and the worst case of what users get."""
    lines = ["| `seqzoo auto` | geometric mean | lowest |", "|---|---|---|"]
    for part in EXPLAINED:
        for cell in dict.fromkeys(row["cell"] for row in rows if row["part"] == part):
            for what in ("training", "forward"):
                ratios = [
                    float(row["ratio"])
                    for row in rows
                    if (row["part"], row["cell"], row["pass"], row["way"]) == (part, cell, what, "seqzoo auto")
                ]
                if ratios:
                    mean = math.exp(statistics.fmean(map(math.log, ratios)))
                    lines.append(f"| {part}, {cell}, {what} | {mean:.3g} | {min(ratios):.3g} |")
    return lines


def draw(rows: list[dict[str, str]]) -> None:
    """The ratios of `seqzoo auto` in training against torch.nn, a dot a shape."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    groups: dict[str, list[float]] = {}
    for row in rows:
        if row["way"] == "seqzoo auto" and row["pass"] == "training" and row["part"] in ("equal", "lengths"):
            threads = f"{row['threads']} thread{'' if row['threads'] == '1' else 's'}"
            groups.setdefault(f"{row['cell']}, {row['part']}, {threads}", []).append(float(row["ratio"]))
    figure, axes = plt.subplots(figsize=(8, 0.35 * len(groups) + 1.2), layout="constrained")
    for place, (label, ratios) in enumerate(groups.items()):
        axes.scatter(ratios, [place] * len(ratios), color="tab:green" if "lengths" in label else "tab:blue", zorder=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axes.set_yticks(range(len(groups)), list(groups))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("times as fast as the best of torch.nn, forward and backward; a dot a shape")
    axes.set_title(f"seqzoo auto on {rows[0]['device']}")
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), default=list(GROUPS), help="what to measure")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    chosen = parser.parse_args()
    if not chosen.page:
        torch.set_num_threads(chosen.threads)
        record(chosen.only, chosen.threads)
    rows = read()
    PAGE.write_text(page(rows), encoding="utf-8")
    draw(rows)


if __name__ == "__main__":
    main()
