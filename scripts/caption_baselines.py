"""Baselines for captioning, written to results/generation.csv: one caption for all pictures, or the nearest picture's.

python scripts/caption_baselines.py                   # for flickr8k and flickr8k_chinese
python scripts/caption_baselines.py flickr8k_chinese

constant: the training caption that scores best on the validation split, chosen for each metric.
nearest: of the captions of the training picture with the nearest pixels (16 x 16), or of the five nearest, the one
    that is most similar to the others (Devlin et al., Exploring Nearest Neighbor Approaches for Image Captioning, 2015,
    https://arxiv.org/abs/1505.04467).
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import shlex
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from record_results import RESULTS, record
from torch import Tensor
from torch.nn import functional as F

from seqzoo.configuration.building import build_data
from seqzoo.configuration.experiment import compose
from seqzoo.contracts.batch import Loss
from seqzoo.contracts.parts import DataModule
from seqzoo.metrics import create_metric
from seqzoo.metrics.caption_scores import caption_tokens
from seqzoo.runs.provenance import commit, hardware

DATA = ("flickr8k", "flickr8k_chinese")
METRICS = ("bleu_1", "bleu_4", "rouge_l", "cider_d")
TRIED = 60
"""Number of captions scored as constants: those that share most n-grams with the validation captions."""


class Split(NamedTuple):
    """The pictures of a split.

    Attributes:
        pixels: of the pictures, reduced to 16 x 16, (N, D).
        captions: of each picture.
    """

    pixels: Tensor
    captions: list[list[str]]


def read(data: DataModule, split: str) -> Split:
    batches = list(data.batches(split))
    pixels = torch.cat([F.adaptive_avg_pool2d(batch.inputs, 16).flatten(1) for batch in batches])
    return Split(pixels, [texts for batch in batches for texts in batch.references or []])


def score(metric: str, answers: list[str], references: list[list[str]]) -> float:
    counter = create_metric(metric)
    counter.update(Loss(torch.zeros(()), torch.ones(())), answers, references)
    return counter.compute()


def ngrams(text: str) -> Counter[tuple[str, ...]]:
    """The counts of n-grams of one to four words."""
    tokens = caption_tokens(text)
    return Counter(tuple(tokens[i : i + n]) for n in range(1, 5) for i in range(len(tokens) - n + 1))


def likeness(first: Counter, second: Counter) -> float:
    return 2 * (first & second).total() / max(first.total() + second.total(), 1)


def constant(train: Split, validation: Split, split: Split) -> dict[str, list[str]]:
    """For each metric the training caption with the best score on the validation split, repeated for each picture."""
    rows_with = Counter(ngram for texts in validation.captions for ngram in set().union(*map(ngrams, texts)))
    texts = {text for captions in train.captions for text in captions}

    def shared(text: str) -> float:
        counts = ngrams(text)
        return sum(rows_with[ngram] for ngram in counts) / max(counts.total(), 8)

    tried = sorted(texts, key=lambda text: (-shared(text), text))[:TRIED]
    count = len(validation.captions)
    best = {name: max(tried, key=lambda text: score(name, [text] * count, validation.captions)) for name in METRICS}
    return {name: [text] * len(split.captions) for name, text in best.items()}


def nearest(train: Split, validation: Split, split: Split, neighbours: int) -> dict[str, list[str]]:
    """A caption for each picture by its nearest training pictures, the same for all metrics."""
    answers = []
    for rows in torch.cdist(split.pixels, train.pixels).topk(neighbours, largest=False).indices.tolist():
        texts = [text for row in rows for text in train.captions[row]]
        counts = list(map(ngrams, texts))
        best = max(range(len(texts)), key=lambda i: sum(likeness(counts[i], other) for other in counts))
        answers.append(texts[best])
    return dict.fromkeys(METRICS, answers)


BASELINES: dict[str, Callable[[Split, Split, Split], dict[str, list[str]]]] = {
    "constant": constant,
    "nearest_1": functools.partial(nearest, neighbours=1),
    "nearest_5": functools.partial(nearest, neighbours=5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", nargs="*", help=f"names of conf/data; {', '.join(DATA)} by default")
    parser.add_argument("--only", choices=BASELINES, help="one baseline; all by default")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/caption_baselines"), help="output folder of the metrics"
    )
    parser.add_argument("--to", type=Path, default=RESULTS / "generation.csv", help="output table")
    chosen = parser.parse_args()
    for name in chosen.data or DATA:
        unchanged = ("data.flip=0", "data.crop=0", "data.colour=0")
        data = build_data(compose("task=captioning", f"data={name}", *unchanged))
        data.load()
        splits = {split: read(data, split) for split in ("train", "validation", "test")}
        for baseline in [chosen.only] if chosen.only else BASELINES:
            began, worked = time.perf_counter(), time.process_time()
            scores = {}
            for split in ("validation", "test"):
                answers = BASELINES[baseline](splits["train"], splits["validation"], splits[split])
                references = splits[split].captions
                scores[split] = {metric: score(metric, texts, references) for metric, texts in answers.items()}
                numbers = "  ".join(f"{metric} {value:.2f}" for metric, value in scores[split].items())
                print(f"{name}  {baseline}  {split}  {numbers}", flush=True)
            metrics = {
                **scores,
                "parameters": 0,
                "seconds": round(time.perf_counter() - began, 2),
                "cpu_seconds": round(time.process_time() - worked, 2),
                "seed": 0,
                "choices": {"data": name, "cell": baseline, "backbone": "none", "task": "captioning"},
                "device": hardware(torch.device("cpu")),
                "threads": torch.get_num_threads(),
                "command": shlex.join(["python", "scripts/caption_baselines.py", name, "--only", baseline]),
                "commit": commit(),
                "date": datetime.date.today().isoformat(),
            }
            folder = chosen.runs / name / baseline
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
            record([folder], chosen.to)


if __name__ == "__main__":
    main()
