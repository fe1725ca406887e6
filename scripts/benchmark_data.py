"""Measure the cost of reading text, and write results/data_speed.csv.

python scripts/benchmark_data.py                       # encode a million tokens by each tokenizer, and by peers
python scripts/benchmark_data.py --corpus corpus.txt   # also train on that file (scripts/make_corpus.py makes one)

Seconds are CPU time on one thread, the minimum of three repetitions, for building the vocabulary and encoding. The
peers split words at spaces. Memory is measured on Linux.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from seqzoo.analysis.result_tables import write_table
from seqzoo.data.generated.english import English
from seqzoo.data.text.codec import TextCodec
from seqzoo.data.text.subwords import SUBWORDS
from seqzoo.data.text.tokenizing import TOKENIZERS
from seqzoo.runs.provenance import commit, hardware

REPOSITORY = Path(__file__).resolve().parents[1]
TABLE = REPOSITORY / "results" / "data_speed.csv"
COLUMNS = ("part", "case", "measure", "value", "ratio", "device", "command", "commit", "date")
TOKENS, SPECIALS = 1_000_000, ["<unk>", "<pad>"]


def lines(count: int) -> list[str]:
    """Generated sentences with this many words in total."""
    english, sentences, words = English(seed=0), [], 0
    while words < count:
        sentence = english.sentence().words
        sentences.append(" ".join(sentence))
        words += len(sentence)
    return sentences


def least_seconds(function: Callable[[], Any], times: int = 3) -> float:
    """The minimum CPU time over repetitions, which other programs hardly affect."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        function()
        taken.append(time.process_time() - start)
    return min(taken)


def encode(name: str, texts: list[str]) -> list[list[int]]:
    codec = TextCodec.learn(name, texts, max_size=8000)
    return [codec.encode(text) for text in texts]


def by_tokenizers(texts: list[str]) -> list[list[int]]:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=SPECIALS, show_progress=False))
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def by_torchtext(texts: list[str]) -> list[list[int]]:
    from torchtext.data import Field

    field = Field(tokenize=str.split)
    split = [field.preprocess(text) for text in texts]
    field.build_vocab(split)
    return [[field.vocab.stoi[word] for word in words] for words in split]


def encoding() -> list[dict[str, Any]]:
    """A row for each tokenizer of seqzoo, and for each peer."""
    texts = lines(TOKENS)
    rows, ours = [], 0.0
    for name in (*TOKENIZERS, *SUBWORDS):
        if name == "chinese_words":
            continue  # this text is English
        # a million tokens of this tokenizer
        some = texts[: len(texts) * TOKENS // sum(map(len, encode(name, texts)))] if name != "whitespace" else texts
        seconds = least_seconds(lambda name=name, some=some: encode(name, some))
        ours = seconds if name == "whitespace" else ours
        rows.append({"part": "encoding", "case": name, "measure": "seconds per million tokens", "value": seconds})
    for name, peer in {"tokenizers": by_tokenizers, "torchtext": by_torchtext}.items():
        seconds = least_seconds(lambda peer=peer: peer(texts))
        row = {"part": "encoding", "case": f"{name} (whitespace)", "measure": "seconds per million tokens"}
        rows.append({**row, "value": seconds, "ratio": seconds / ours})
    return rows


TRAINING = """
import json, re, sys, time
import torch
# getrusage would include the peak of the parent process
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
before, start = peak(), time.perf_counter()
from seqzoo import build
from seqzoo.commands.main import main
model, data = build(*sys.argv[2:])
loaded = time.perf_counter()
sys.argv[1:] = ["train", *sys.argv[2:], f"hydra.run.dir={sys.argv[1]}"]
del model, data
try:
    main(sys.argv[1:])
finally:
    print(json.dumps({"import torch": before, "training": peak(), "load": loaded - start}))
"""


def training(corpus: Path, tokenizer: str) -> list[dict[str, Any]]:
    """The memory of a training on a file, and the seconds until training begins, when the text is encoded and when the
    encoded text is cached.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        options = [
            "task=language_modeling", "data=text_files", f"data.train={corpus}", f"data.tokenizer={tokenizer}",
            "data.validation_fraction=0.001", "debug=tiny", "data.limit=null", "training.steps=50",
            "training.validate_every=25",
        ]  # fmt: skip
        for turn in ("first", "again"):
            program = [sys.executable, "-c", TRAINING, f"{folder}/{turn}", *options]
            environment = {**os.environ, "XDG_CACHE_HOME": folder, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            measured = json.loads(done.stdout.splitlines()[-1])
            case = f"{corpus.stat().st_size / 1e6:,.0f} MB by {tokenizer}, {turn}"
            for measure, value in (
                ("MiB above the import of torch", measured["training"] - measured["import torch"]),
                ("seconds until training begins", measured["load"]),
            ):
                rows.append({"part": "training", "case": case, "measure": measure, "value": value})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="file to train on")
    parser.add_argument(
        "--tokenizers", nargs="*", default=["characters", "whitespace"], help="tokenizers of that training"
    )
    parser.add_argument("--to", type=Path, default=TABLE, help="output table")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    rows = encoding()
    if chosen.corpus is not None:
        rows += [row for name in chosen.tokenizers for row in training(chosen.corpus.resolve(), name)]
    command = "python scripts/benchmark_data.py" + (" --corpus corpus.txt" if chosen.corpus else "")
    origin = {"device": hardware(torch.device("cpu")), "command": command, "commit": commit()}
    measured = []
    for row in rows:
        numbers = {key: f"{row[key]:.3g}" for key in ("value", "ratio") if key in row}
        measured.append({**row, **numbers, **origin, "date": datetime.date.today().isoformat()})
        print(row["part"], row["case"], row["measure"], *numbers.values())
    write_table(chosen.to, COLUMNS, measured)


if __name__ == "__main__":
    main()
