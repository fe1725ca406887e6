"""Measure the speed of speech recognition, and write results/speech_speed.csv.

python scripts/benchmark_speech.py

Training: updates on batches of an epoch of `experiment=fsdd_strings`, by seqzoo and by loops that are written by hand
with nn.GRU and torch's CTC loss, where sequences of different lengths are packed, or padded as if they had equal
lengths. All compute the same features in each update, and take turns. Before they are timed, seqzoo and the packed
loop must have equal losses with equal weights. Ratio: the time of the faster loop, divided by that of seqzoo.

Recognition: `seqzoo predict --stream` on strings of digits in chunks of 100 ms by a network of one direction, in
seconds per second of sound. Seconds are CPU time on one thread. Needs the data set fsdd under SEQZOO_DATA.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seqzoo.analysis.result_tables import write_table
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import Training, compose
from seqzoo.contracts.batch import PAD, Batch
from seqzoo.contracts.data_module import DataModule
from seqzoo.contracts.parts import Encoder, Network
from seqzoo.runs.loaded import Loaded
from seqzoo.runs.provenance import commit, hardware
from seqzoo.training import loop
from seqzoo.training.session import Session

TABLE = Path(__file__).resolve().parents[1] / "results" / "speech_speed.csv"
COLUMNS = ("part", "case", "measure", "value", "ratio", "device", "command", "commit", "date")
CHUNK = 0.1
"""Seconds of sound that a stream brings at once."""

TRAINED = ("experiment=fsdd_strings",)
STREAMED = (
    "experiment=fsdd_strings",
    "backbone=unidirectional",
    "backbone.hidden_size=128",
    "encoder.normalisation=training",
)

Row = tuple[str, str, str, str, str]


class ByHand(nn.Module):
    """Sound -> log-probabilities (B, T, V), without parts of seqzoo but the features of sound.

    Args:
        encoder: the features.
        hidden_size: units of the GRU per direction.
        vocabulary_size: V.
        dropout: dropout before the output layer.
        packed: sequences are packed.
    """

    def __init__(self, encoder: Encoder, hidden_size: int, vocabulary_size: int, dropout: float, packed: bool):
        super().__init__()
        self.packed = packed
        self.encoder = encoder
        self.rnn = nn.GRU(encoder.output_size, hidden_size, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * hidden_size, vocabulary_size)

    def forward(self, sound: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Also returns the number of steps of each row, (B,)."""
        x, lengths = self.encoder(sound, lengths), self.encoder.output_lengths(lengths)
        if self.packed:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            outputs, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        else:
            outputs, _ = self.rnn(x)
        return self.output(self.dropout(outputs)).log_softmax(-1), lengths

    def loss(self, batch: Batch) -> Tensor:
        """The sum over the batch."""
        log_probabilities, lengths = self(batch.inputs, batch.lengths)
        target_lengths = batch.required_target_lengths - 1  # without the end of the text, which CTC does not write
        targets = batch.required_targets
        return F.ctc_loss(
            log_probabilities.transpose(0, 1), targets, lengths, target_lengths, PAD, "sum", zero_infinity=True
        )

    def copy_weights(self, model: Network) -> None:
        """Copy the weights of seqzoo's network."""
        [directions] = model.backbone.layers
        with torch.no_grad():
            for suffix, cell in zip(("", "_reverse"), directions, strict=True):
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(self.rnn, f"{part}_l0{suffix}").copy_(getattr(cell, part))
        self.output.load_state_dict(model.task.head.state_dict())


def training(overrides: Sequence[str], count: int) -> Iterator[Row]:
    """Time `count` batches of an epoch, evenly spaced."""
    config = compose(*overrides)
    data = build_data(config)
    data.load()
    torch.manual_seed(0)
    session = Session(build_model(config, data.spec), config.training, torch.device("cpu"), total_steps=10_000)
    batches = list(data.batches("train"))
    batches = batches[:: max(1, len(batches) // count)][:count]
    programs: dict[str, Callable[[Batch], object]] = {}
    for name, packed in (("nn.GRU and ctc_loss, packed", True), ("nn.GRU and ctc_loss, padded", False)):
        model = ByHand(
            copy.deepcopy(session.model.encoder), config.backbone["hidden_size"], data.spec.output_size,
            config.task["dropout"], packed,
        )  # fmt: skip
        model.copy_weights(session.model)
        if packed:
            check_losses(model, session.model, batches[0])
        programs[name] = by_hand(model, config.training)
    programs["seqzoo"] = lambda batch: loop.update(session, [batch], False)
    loops = list(programs)[:2]
    programs["features alone"] = lambda batch: features(session.model.encoder, batch)
    seconds = taking_turns(programs, batches)
    start = time.process_time()
    for _ in zip(batches, data.batches("train", 1), strict=False):
        pass
    seconds["reading alone"] = time.process_time() - start
    for name, total in seconds.items():
        ratio = f"{min(seconds[loop] for loop in loops) / total:.3g}" if name == "seqzoo" else ""
        yield "training", name, "milliseconds per batch", f"{1000 * total / len(batches):.3g}", ratio


def by_hand(model: ByHand, training: Training) -> Callable[[Batch], None]:
    """A function that makes an update."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)

    def update(batch: Batch) -> None:
        model.train()
        optimizer.zero_grad()
        (model.loss(batch) / batch.required_target_lengths.sum()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return update


@torch.no_grad()
def check_losses(model: ByHand, ours: Network, batch: Batch) -> None:
    """Raise AssertionError if the losses of a batch differ."""
    model.eval(), ours.eval()
    torch.testing.assert_close(model.loss(batch), ours.task.loss(ours.scores(batch, ours.encode(batch)), batch).total)


@torch.no_grad()
def features(encoder: Encoder, batch: Batch) -> Tensor:
    """The part of the encoder that a cache of features would save."""
    return encoder.features(batch.inputs, batch.lengths)


def taking_turns(programs: dict[str, Callable[[Batch], object]], batches: list[Batch]) -> dict[str, float]:
    """CPU seconds of each program over all batches; that of a batch is the minimum of two rounds."""
    times: dict[str, list[list[float]]] = {name: [[] for _ in batches] for name in programs}
    for program in programs.values():
        program(batches[0])
    for number in [*range(len(batches))] * 2:
        for name, program in programs.items():
            start = time.process_time()
            program(batches[number])
            times[name][number].append(time.process_time() - start)
    return {name: sum(map(min, rounds)) for name, rounds in times.items()}


def recognition(overrides: Sequence[str], seconds: float) -> Iterator[Row]:
    """Time the recognition of streams, until they hold the given number of seconds of sound."""
    config = compose(*overrides)
    data = build_data(config)
    data.load()
    torch.manual_seed(0)
    model = build_model(config, data.spec).eval()
    taken, heard = 0.0, 0.0
    for sound in recordings(data):
        chunks = sound.split(round(CHUNK * data.spec.rate) // data.spec.input_size)
        start = time.process_time()
        stream = Loaded(model, data.spec).stream()
        for chunk in chunks:
            stream.push(chunk)
        stream.end()
        taken += time.process_time() - start
        heard += sound.numel() / data.spec.rate
        if heard >= seconds:
            break
    yield "recognition", f"chunks of {1000 * CHUNK:g} ms", "real-time factor", f"{taken / heard:.3g}", ""


def recordings(data: DataModule) -> Iterator[Tensor]:
    """The test recordings, each (T, I)."""
    for batch in data.batches("test"):
        for sound, length in zip(batch.inputs, batch.lengths.tolist(), strict=True):
            yield sound[:length]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batches", type=int, default=20, help="number of batches, evenly spaced over an epoch")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the sound that is recognised")
    parser.add_argument("--print", action="store_true", help="only print")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    common = (
        hardware(torch.device("cpu")), "python scripts/benchmark_speech.py", commit(), datetime.date.today().isoformat()
    )  # fmt: skip
    rows = []
    for row in (*training(TRAINED, chosen.batches), *recognition(STREAMED, chosen.seconds)):
        rows.append(dict(zip(COLUMNS, (*row, *common), strict=True)))
        print(*row, flush=True)
    if not chosen.print:
        write_table(TABLE, COLUMNS, rows)


if __name__ == "__main__":
    main()
