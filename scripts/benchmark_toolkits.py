"""Time taggers of seqzoo and flair, and translators of seqzoo and JoeyNMT.

Updates and beam search have the same layers and batches, and beam search the same weights, too.

python scripts/benchmark_toolkits.py     # writes results/speed_toolkits.csv and docs/SPEED.md

Needs pip install flair joeynmt, and the data sets ud_english_ewt and multi30k under SEQZOO_DATA. Both programs get the
same sentences in the same batches, alternating, from prepared ids or tokens: reading and batching are not timed.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import importlib.metadata
import logging
import runpy
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from seqzoo.analysis.result_tables import write_table
from seqzoo.configuration.building import build_data, build_model
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.batch import BEGIN, PAD, Batch
from seqzoo.runs.provenance import commit, hardware
from seqzoo.training import loop
from seqzoo.training.session import Session

TABLE = Path(__file__).resolve().parents[1] / "results" / "speed_toolkits.csv"
COLUMNS = (
    "task", "implementation", "parameters", "batches", "seconds", "ratio", "device", "threads", "torch", "command",
    "commit", "date",
)  # fmt: skip
RATE = 1e-3


class Contest(NamedTuple):
    """A task on which programs are timed.

    Attributes:
        task: its name.
        batches: number of batches.
        sizes: number of parameters by program.
        updates: for each program a function that processes a batch, given its number.
    """

    task: str
    batches: int
    sizes: dict[str, int]
    updates: dict[str, Callable[[int], Any]]


def _ours(*overrides: str) -> tuple[Session, Any, list[Batch]]:
    """A session of seqzoo, its data, and the batches of an epoch."""
    config = compose(*overrides, f"training.learning_rate={RATE}")
    data = build_data(config)
    data.load()
    torch.manual_seed(0)
    session = Session(build_model(config, data.spec), config.training, torch.device("cpu"), total_steps=10_000)
    return session, data, list(data.batches("train"))


def _size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _plain_update(model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def tagging(count: int) -> Contest:
    """UD English EWT: embeddings of 128, a bidirectional LSTM of 128, a linear layer; 32 sentences a batch."""
    from flair.data import Dictionary, Sentence
    from flair.embeddings import OneHotEmbeddings
    from flair.models import SequenceTagger

    logging.getLogger("flair").setLevel(logging.ERROR)
    session, data, batches = _ours(
        "task=tagging", "data=ud_english_ewt", "cell=lstm", "backbone=bidirectional", "backbone.hidden_size=128",
        "encoder.embedding_size=128", "data.batch_size=32",
    )  # fmt: skip
    batches = batches[:: max(1, len(batches) // count)][:count]
    words, tags = data.spec.inputs.vocabulary.tokens, data.spec.targets
    vocabulary = Dictionary(add_unk=True)
    for word in words[2:]:
        vocabulary.add_item(word)
    embeddings = OneHotEmbeddings(vocabulary, field="text", embedding_length=128)
    labels = Dictionary(add_unk=False)
    for number in range(tags.size):
        labels.add_item(tags.decode([number]))
    tagger = SequenceTagger(
        embeddings, labels, "upos", rnn_layers=1, hidden_size=128, use_crf=False, reproject_embeddings=False,
        dropout=0.0, word_dropout=0.0, locked_dropout=0.0,
    )  # fmt: skip
    sentences = []
    for batch in batches:
        rows = []
        for ids, answers, length in zip(
            batch.inputs.tolist(), batch.targets.tolist(), batch.lengths.tolist(), strict=True
        ):
            sentence = Sentence([words[i] for i in ids[:length]], use_tokenizer=False)
            for token, answer in zip(sentence, answers, strict=False):
                token.add_label("upos", tags.decode([answer]))
            rows.append(sentence)
        sentences.append(rows)
    optimizer = torch.optim.AdamW(tagger.parameters(), lr=RATE)
    tagger.train()

    def toolkit(number: int) -> None:
        for sentence in sentences[number]:
            sentence.clear_embeddings()
        loss, many = tagger.forward_loss(sentences[number])
        _plain_update(tagger, optimizer, loss / many)

    updates = {_named("flair"): toolkit, "seqzoo": lambda number: loop.update(session, [batches[number]], False)}
    return Contest("tagging", count, {_named("flair"): _size(tagger), "seqzoo": _size(session.model)}, updates)


def _translators(input_feeding: bool) -> tuple[Session, Any, list[Batch], Any]:
    """Multi30k de-en: a bidirectional GRU of 256, a GRU of 512 with attention, words; 80 pairs a batch."""
    from joeynmt.model import build_model as build_joey

    session, data, batches = _ours(
        "task=transduction", "data=multi30k_de_en", "cell=gru", "backbone=bidirectional", "backbone.hidden_size=256",
        "encoder.embedding_size=256", "task.decoder.embedding_size=512",
        "task.decoder.backbone.hidden_size=512", "task.decoder.attention=general",
        f"task.decoder.input_feeding={input_feeding}", "task.search.beam_size=5", "task.search.length_penalty=1.0",
        "data.batch_size=80", "data.min_frequency=2",
    )  # fmt: skip
    vocabularies = (_JoeyVocabulary(size) for size in (data.spec.input_size, data.spec.output_size))
    joey = build_joey(_joey_options(input_feeding), *vocabularies)
    joey.loss_function = ("crossentropy", 0.0)
    return session, data, batches, joey


def translation(count: int, input_feeding: bool) -> Contest:
    session, _, batches, joey = _translators(input_feeding)
    batches = batches[:: max(1, len(batches) // count)][:count]
    joey.train()
    optimizer = torch.optim.AdamW(joey.parameters(), lr=RATE)

    def toolkit(number: int) -> None:
        loss, count = _joey_loss(joey, batches[number])
        _plain_update(joey, optimizer, loss / count)

    updates = {_named("joeynmt"): toolkit, "seqzoo": lambda number: loop.update(session, [batches[number]], False)}
    task = f"translation{' with input feeding' if input_feeding else ''}"
    return Contest(task, count, {_named("joeynmt"): _size(joey), "seqzoo": _size(session.model)}, updates)


def _joey_source(batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The order of rows by length, which JoeyNMT requires, and the inputs of its encoder in this order."""
    order = batch.lengths.argsort(descending=True)
    source = batch.inputs[order]
    return order, {"src": source, "src_length": batch.lengths[order], "src_mask": (source != PAD)[:, None]}


def _joey_loss(joey: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    order, source = _joey_source(batch)
    target = batch.targets[order]
    shifted = torch.cat([target.new_full((len(target), 1), BEGIN), target[:, :-1]], 1)
    loss, *_ = joey(
        return_type="loss", **source, trg=target, trg_input=shifted, trg_mask=(target != PAD)[:, None]
    )  # fmt: skip
    return loss, (target != PAD).sum()


def search(count: int, updates: int = 200) -> Contest:
    """Beam search with a beam of 5 on the test sentences of 2016. The model is trained for some updates first, so that
    its outputs have realistic lengths.
    """
    from joeynmt.search import beam_search

    session, data, batches, joey = _translators(input_feeding=False)
    head = session.model.task.decoder.head
    nn.init.zeros_(head.bias.requires_grad_(False))  # JoeyNMT has none
    for number in range(updates):
        loop.update(session, [batches[number % len(batches)]], False)
    model = session.model.eval()
    _copy_weights(model, joey.eval())
    test = list(data.batches("test"))
    loss = model.task.loss(model(test[0])[0], test[0])
    torch.testing.assert_close(_joey_loss(joey, test[0])[0], loss.total)  # both models are equal
    count = min(count, len(test))

    @torch.no_grad()
    def toolkit(number: int) -> None:
        _, source = _joey_source(test[number])
        outputs, hidden, *_ = joey(return_type="encode", **source)
        longest = int(1.5 * int(source["src_length"].max()))  # JoeyNMT's default
        beam_search(joey, 5, outputs, hidden, source["src_mask"], longest, alpha=1.0, generate_unk=False)

    searches = {_named("joeynmt"): toolkit, "seqzoo": lambda number: model.task.decode(model, test[number])}
    return Contest("beam search", count, {_named("joeynmt"): _size(joey), "seqzoo": _size(model)}, searches)


def _copy_weights(model: nn.Module, joey: nn.Module) -> None:
    """Copy the weights of a model without input feeding to JoeyNMT's."""
    decoder = model.task.decoder
    pairs = {
        "src_embed.lut": model.encoder.embedding, "trg_embed.lut": decoder.embedding,
        "decoder.bridge_layer": decoder.bridge, "decoder.attention.key_layer": decoder.attention.key,
        "decoder.att_vector_layer": decoder.combine, "decoder.output_layer": decoder.head,
    }  # fmt: skip
    with torch.no_grad():
        for name, ours in pairs.items():
            target = joey.get_submodule(name)
            target.weight.copy_(ours.weight)
            if getattr(target, "bias", None) is not None:
                target.bias.copy_(ours.bias)
        cells = ((joey.encoder.rnn, model.backbone.layers[0]), (joey.decoder.rnn, decoder.backbone.layers[0]))
        for rnn, directions in cells:
            for suffix, cell in zip(("", "_reverse"), directions, strict=False):
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    getattr(rnn, f"{part}_l0{suffix}").copy_(getattr(cell, part))


class _JoeyVocabulary:
    """The attributes of JoeyNMT's vocabulary that its models read."""

    pad_index, bos_index, eos_index, unk_index, sep_index = PAD, BEGIN, 3, 1, None
    specials: tuple[str, ...] = ()
    lang_tags: tuple[str, ...] = ()

    def __init__(self, size: int):
        self.size = size

    def __len__(self) -> int:
        return self.size


def _joey_options(input_feeding: bool) -> dict[str, Any]:
    shared = {"type": "recurrent", "rnn_type": "gru", "num_layers": 1, "dropout": 0.0}
    return {
        "encoder": {
            **shared, "embeddings": {"embedding_dim": 256, "scale": False}, "hidden_size": 256, "bidirectional": True,
        },
        "decoder": {
            **shared, "embeddings": {"embedding_dim": 512, "scale": False}, "hidden_size": 512, "hidden_dropout": 0.0,
            "input_feeding": input_feeding, "attention": "luong", "init_hidden": "bridge",
        },
    }  # fmt: skip


def _named(package: str) -> str:
    return f"{package} {importlib.metadata.version(package)}"


def measure(contest: Contest) -> Iterator[tuple[str, float]]:
    """Total seconds over all batches, each the minimum of two rounds in which both programs alternate."""
    times: dict[str, list[list[float]]] = {name: [[] for _ in range(contest.batches)] for name in contest.updates}
    for update in contest.updates.values():
        update(0)
    for number in [*range(contest.batches)] * 2:
        for name, update in contest.updates.items():
            start = time.perf_counter()
            update(number)
            times[name][number].append(time.perf_counter() - start)
    for name, rounds in times.items():
        yield name, sum(map(min, rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", type=int, default=40, help="number of batches, evenly spaced over an epoch")
    parser.add_argument(
        "--only", nargs="*", default=[], help="some of tagging, translation, translation_fed, beam; only prints"
    )
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(chosen.threads)
    common = {
        "device": hardware(torch.device("cpu")), "threads": chosen.threads,
        "torch": torch.__version__.partition("+")[0],
        "command": f"python scripts/benchmark_toolkits.py --threads {chosen.threads}", "commit": commit(),
        "date": datetime.date.today().isoformat(),
    }  # fmt: skip
    rows = []
    contests = {
        "tagging": tagging,
        "translation": functools.partial(translation, input_feeding=False),
        "translation_fed": functools.partial(translation, input_feeding=True),
        "beam": search,
    }
    unknown = [name for name in chosen.only if name not in contests]
    if unknown:
        parser.error(f"--only names {unknown[0]!r}: there are {', '.join(contests)}")
    for make in (contests[name] for name in chosen.only or contests):
        contest = make(chosen.batches)
        times = dict(measure(contest))
        baseline = next(iter(times.values()))
        for name, seconds in times.items():
            rows.append({"task": contest.task, "implementation": name, "parameters": contest.sizes[name],
                         "batches": contest.batches, "seconds": f"{seconds:.4g}",
                         "ratio": f"{baseline / seconds:.3g}", **common})  # fmt: skip
            print(*list(rows[-1].values())[:6], flush=True)
    if chosen.only:
        return
    write_table(TABLE, COLUMNS, rows)
    runpy.run_path(str(Path(__file__).with_name("speed_page.py")), run_name="__main__")


if __name__ == "__main__":
    main()
