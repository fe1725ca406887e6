"""Train on public data sets as if they were a user's own files: by the plain command, without options of a model.

python scripts/own_files.py                              # all sets, three seeds -> results/own_files.csv
python scripts/own_files.py --sets trec,names --seeds 0  # a part; rows of the same set, seed and ablation are replaced
python scripts/own_files.py --sets trec --without head   # the same without a rule of the recipe
python scripts/own_files.py --page                       # only writes docs/OWN_FILES.md from the rows

Each run is one row: the network's score on the test split beside the best baseline's, the CPU time of the whole
command, and what the recipe chose. The page is written anew after each. The constants of the recipe were chosen on the
sets whose use is "tuning"; the others were not looked at before. The series are made up; other data are read from
SEQZOO_DATA, and rewritten as tables in --work.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import lzma
import math
import os
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from seqzoo.analysis.result_tables import read_table, write_table
from seqzoo.configuration.rules import Rules

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS, PAGE = REPOSITORY / "results" / "own_files.csv", REPOSITORY / "docs" / "OWN_FILES.md"
DATA = Path(os.environ.get("SEQZOO_DATA", "~/.cache/seqzoo")).expanduser()
COLUMNS = (
    "set", "use", "seed", "without", "metric", "network", "baseline", "baseline_name", "cpu_seconds",
    "chosen", "device", "command", "commit", "date",
)  # fmt: skip
KEY = ("set", "seed", "without")
LOWER_IS_BETTER = ("loss_nats", "nrmse")
HEADER = """# Your own files, measured

`python scripts/own_files.py` measures `results/own_files.csv` and writes this page. Each set is read as if it were a
user's own, by the plain command without any option of the model; the recipe chooses the rest. The numbers of the
[rules](../seqzoo/configuration/rules_of_kinds.py) were chosen on the sets for "tuning"; those that were "held out" had
not been looked at before. The series are made up by the script. The table has the commit and the command of each run.

## Scores on the test split

`loss_nats` and `nrmse` are better when they are lower. The CPU time is that of the whole command, with the baselines.

| set | use | score | network | best baseline | | CPU seconds | runs |
|---|---|---|---:|---:|---|---:|---:|
"""
CHOICES = """
## What the recipe chose

"""
ABLATION = """
## Without a rule

A rule is left out by its name (`--without`). The others choose as before, as far as they do not depend on it.

| set | rule | score | with it | without it |
|---|---|---|---:|---:|
"""
Row = dict[str, str]
Example = tuple[str, str]
"""A text and its label."""

TRAIN_WITHOUT = """
import sys
from seqzoo.configuration.rules import Rules
from seqzoo.commands.main import main
rule, *sys.argv[1:] = sys.argv[1:]
Rules.names = [name for name in Rules.names if name != rule]
main()
"""


class Set(NamedTuple):
    """A data set as somebody's files.

    Attributes:
        use: "tuning" if constants of the recipe were chosen on it, else "held out".
        options: writes files into a folder for a seed and returns the options that name them.
        seeds: number of its seeds or folds.
    """

    use: str
    options: Callable[[Path, int], list[str]]
    seeds: int = 3


def table(path: Path, examples: Iterable[Example]) -> Path:
    """Write a table of texts and labels, with a header."""
    rows = (f"{' '.join(text.split())}\t{label}\n" for text, label in examples)
    path.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    return path


def classified(folder: Path, **splits: Iterable[Example]) -> list[str]:
    """Options of a classification whose splits are tables."""
    files = (f"data.{name}={table(folder / f'{name}.tsv', examples)}" for name, examples in splits.items())
    return ["task=classification", "data=classification_files", *files]


def shuffled(examples: list[Example], seed: int) -> list[Example]:
    """The examples in an order that depends on the seed."""
    return random.Random(seed).sample(examples, len(examples))


def reviews() -> list[Example]:
    """Sentences of film reviews, in a random order that is always the same."""
    examples = []
    for label in ("pos", "neg"):
        lines = (DATA / f"rt_polarity/rt-polarity.{label}").read_text(encoding="latin-1").splitlines()
        examples += [(line, label) for line in lines]
    return shuffled(examples, 0)


def review_folds(folder: Path, fold: int) -> list[str]:
    examples = reviews()
    test, train = examples[fold::10], [e for i, e in enumerate(examples) if i % 10 != fold]
    return classified(folder, train=train, test=test)


def few_reviews(count: int) -> Callable[[Path, int], list[str]]:
    """Some sentences for training; the test sentences are the same for all counts and seeds."""

    def options(folder: Path, seed: int) -> list[str]:
        examples = reviews()
        train = shuffled(examples[2_662:], seed)[:count]
        return classified(folder, train=train, test=examples[:2_662])

    return options


def few_reviews_with_vectors(folder: Path, seed: int) -> list[str]:
    vectors = next(iter(sorted((DATA / "glove").glob("*"))))
    return [*few_reviews(800)(folder, seed), f"data.vectors={vectors}"]


def sst2(folder: Path, seed: int) -> list[str]:
    def read(split: str) -> list[Example]:
        lines = (DATA / f"sst/stsa.binary.{split}").read_text(encoding="utf-8").splitlines()
        return [(line[2:], line[0]) for line in lines if line]

    return classified(folder, train=read("train"), validation=read("dev"), test=read("test"))


def trec(folder: Path, seed: int) -> list[str]:
    def read(split: str) -> list[Example]:
        lines = (DATA / f"trec/TREC.{split}").read_text(encoding="latin-1").splitlines()
        return [(text, label.split(":")[0]) for label, _, text in (line.partition(" ") for line in lines if line)]

    return classified(folder, train=read("train"), test=read("test"))


def chnsenticorp(folder: Path, seed: int) -> list[str]:
    names = {"train": "train", "validation": "dev", "test": "test"}
    files = (f"data.{split}={DATA}/chnsenticorp/{name}.txt" for split, name in names.items())
    return ["task=classification", "data=classification_files", *files]


def names(folder: Path, seed: int) -> list[str]:
    examples = [
        (line, path.stem)
        for path in sorted((DATA / "names").glob("*.txt"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    examples = shuffled(examples, seed)
    return classified(folder, train=examples[2_000:], test=examples[:2_000])


def film_reviews(split: str) -> list[Example]:
    """Long film reviews."""
    with lzma.open(DATA / f"imdb/{split}.tsv.xz", "rt", encoding="utf-8") as file:
        next(file)
        rows = (line.rstrip("\n").split("\t") for line in file)
        return [(row[3], row[0]) for row in rows]


def imdb(folder: Path, seed: int) -> list[str]:
    return classified(folder, train=shuffled(film_reviews("train"), seed), test=film_reviews("test"))


def few_long_reviews(folder: Path, seed: int) -> list[str]:
    train = shuffled(film_reviews("train"), seed)[:2_000]
    return classified(folder, train=train, test=shuffled(film_reviews("test"), 0)[:5_000])


def splice_sites(folder: Path, seed: int) -> list[str]:
    return classified(folder, train=(rows := shuffled(windows(), seed))[640:], test=rows[:640])


def few_splice_sites(folder: Path, seed: int) -> list[str]:
    return classified(folder, train=(rows := shuffled(windows(), seed))[:106], test=rows[106:])


def windows() -> list[Example]:
    """Windows of DNA and what is at their middle."""
    with (DATA / "dna_splice/splice.csv").open(encoding="utf-8", newline="") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file)][1:]
    return [(row[2], row[0]) for row in rows]


def tagged(train: str, validation: str, test: str, *options: str) -> Callable[[Path, int], list[str]]:
    """Files of tagged sentences."""
    files = [f"data.{split}={DATA}/{name}" for split, name in zip(SPLITS, (train, validation, test), strict=True)]
    return lambda folder, seed: ["task=tagging", "data=tagging_files", *files, *options]


SPLITS = ("train", "validation", "test")


def play_text(folder: Path, seed: int) -> list[str]:
    text = (DATA / "tiny_shakespeare/input.txt").read_text(encoding="utf-8")
    ends = (0, len(text) * 90 // 100, len(text) * 95 // 100, len(text))
    for split, start, end in zip(SPLITS, ends, ends[1:], strict=False):
        (folder / f"{split}.txt").write_text(text[start:end], encoding="utf-8")
    return ["task=language_modeling", "data=text_files", *(f"data.{split}={folder / split}.txt" for split in SPLITS)]


def newspaper(*options: str) -> Callable[[Path, int], list[str]]:
    files = {"train": "train", "validation": "valid", "test": "test"}
    named = [f"data.{split}={DATA}/ptb/ptb.{name}.txt" for split, name in files.items()]
    return lambda folder, seed: ["task=language_modeling", "data=text_files", *named, *options]


def translated(folder: Path, seed: int) -> list[str]:
    import zipfile

    with zipfile.ZipFile(DATA / "tatoeba_fra_eng/fra-eng.zip") as archive:
        lines = archive.read("fra.txt").decode().splitlines()
    lines = random.Random(0).sample(lines, 52_000)
    for name, part in (("train", lines[:50_000]), ("validation", lines[50_000:51_000]), ("test", lines[51_000:])):
        pairs = [line.split("\t")[:2] for line in part]
        (folder / f"{name}.fra").write_text("".join(f"{french}\n" for _, french in pairs), encoding="utf-8")
        (folder / f"{name}.eng").write_text("".join(f"{english}\n" for english, _ in pairs), encoding="utf-8")
    sides = {"source": "fra", "target": "eng"}
    files = (f"data.{split}_{side}={folder / split}.{end}" for split in SPLITS for side, end in sides.items())
    return ["task=transduction", "data=parallel_files", *files]


def forecast(
    make: Callable[[random.Random], Iterator[Sequence[object]]], header: str, *more: str
) -> Callable[[Path, int], list[str]]:
    """A made-up series, which depends on the seed."""

    def options(folder: Path, seed: int) -> list[str]:
        path = folder / "series.csv"
        rows = (",".join(map(str, row)) for row in make(random.Random(seed)))
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return ["task=forecasting", "data=forecast_files", f"data.train={path}", *more]

    return options


def shops(draw: random.Random) -> Iterator[Sequence[object]]:
    """Sales of twenty shops in 150 weeks, with seasons, trends and weeks of advertisement that are known in advance."""
    for shop in range(20):
        level, phase, season, trend = (
            draw.uniform(50, 200),
            draw.uniform(0, 6),
            draw.uniform(0.1, 0.4),
            draw.gauss(0, 0.003),
        )
        mood = 0.0
        for week in range(150):
            mood, advertised = 0.6 * mood + draw.gauss(0, 0.05), int(draw.random() < 0.15)
            seasonal = 1 + season * math.sin(2 * math.pi * week / 52 + phase)
            yield (
                f"shop{shop}",
                week,
                level * (1 + trend * week) * seasonal * (1 + 0.3 * advertised) * math.exp(mood),
                advertised,
            )


def price(draw: random.Random) -> Iterator[Sequence[object]]:
    """A random walk."""
    value = 100.0
    for step in range(2_000):
        value += draw.gauss(0, 1)
        yield step, value


def passengers(draw: random.Random) -> Iterator[Sequence[object]]:
    """Monthly numbers that grow, and whose seasons grow with them."""
    for month in range(300):
        season = 1 + 0.25 * math.sin(math.pi * month / 6) + 0.1 * math.cos(math.pi * month / 3)
        yield month, (100 + 1.2 * month) * season * math.exp(draw.gauss(0, 0.03))


def threshold(draw: random.Random) -> Iterator[Sequence[object]]:
    """An autoregressive process that is another one below zero."""
    before = last = 0.0
    for step in range(5_000):
        mean = 0.9 * last - 0.3 * before + 1 if before > 0 else -0.7 * last - 0.5
        before, last = last, mean + draw.gauss(0, 0.5)
        yield step, last


def energy(draw: random.Random) -> Iterator[Sequence[object]]:
    """Hourly load, temperature and wind of a year."""
    weather = 0.0
    for hour in range(24 * 365):
        weather = 0.9 * weather + draw.gauss(0, 0.3)
        day = math.sin(math.pi * hour / 12)
        temperature = 15 + 8 * math.cos(math.pi * hour / 4_380) + 4 * day + weather
        working = 10 * (math.sin(math.pi * hour / 84) > 0)
        load = 100 + 15 * max(day, 0) + working - 0.8 * (temperature - 15) + draw.gauss(0, 1.5)
        yield hour, load, temperature, abs(draw.gammavariate(2, 2) + 2 * weather)


UD = "ud_{0}/{1}-ud-train.conllu", "ud_{0}/{1}-ud-dev.conllu", "ud_{0}/{1}-ud-test.conllu"
SETS = {
    "rt_polarity": Set("tuning", review_folds, seeds=10),
    "rt_polarity_800": Set("tuning", few_reviews(800)),
    "rt_polarity_200": Set("tuning", few_reviews(200)),
    "rt_polarity_800_vectors": Set("tuning", few_reviews_with_vectors),
    "sst2": Set("tuning", sst2),
    "trec": Set("tuning", trec),
    "chnsenticorp": Set("held out", chnsenticorp),
    "names": Set("tuning", names),
    "imdb": Set("held out", imdb),
    "imdb_2000": Set("tuning", few_long_reviews),
    "dna_splice": Set("held out", splice_sites),
    "dna_splice_106": Set("tuning", few_splice_sites),
    "ud_english_ewt": Set("tuning", tagged(*(name.format("english_ewt", "en_ewt") for name in UD))),
    "ud_chinese_gsd": Set("tuning", tagged(*(name.format("chinese_gsd", "zh") for name in UD))),
    "wnut17": Set(
        "tuning", tagged("wnut17/wnut17train.conll", "wnut17/emerging.dev.conll", "wnut17/emerging.test.annotated")
    ),
    "resume_ner": Set(
        "tuning", tagged(*(f"resume_ner/{split}.char.bmes" for split in ("train", "dev", "test")))
    ),
    "tiny_shakespeare": Set("tuning", play_text),
    "ptb_characters": Set("tuning", newspaper()),
    "ptb_words": Set("tuning", newspaper("data.tokenizer=whitespace")),
    "tatoeba_fra_eng_50k": Set("held out", translated),
    "series_shops": Set(
        "tuning", forecast(shops, "series,week,sales,advertised", "data.targets=[sales]", "data.horizon=8")
    ),
    "series_price": Set("tuning", forecast(price, "time,price", "data.horizon=10")),
    "series_passengers": Set("tuning", forecast(passengers, "time,passengers", "data.horizon=12")),
    "series_threshold": Set("tuning", forecast(threshold, "time,value", "data.horizon=5")),
    "series_energy": Set("tuning", forecast(energy, "time,load,temperature,wind", "data.horizon=24")),
}  # fmt: skip


def run(name: str, seed: int, without: str, work: Path) -> dict[str, object]:
    """The row of one run, whose files and run directory stay in `work`."""
    folder = work / f"{name}_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    options = [*SETS[name].options(folder, seed), f"seed={seed}", "baseline=true", "training.threads=1"]
    run_dir = work / "runs" / f"{name}_{seed}_{without}_{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"
    program = ["-m", "seqzoo"] if without == "none" else ["-c", TRAIN_WITHOUT, without]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *program, "train", *options, f"hydra.run.dir={run_dir}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    metrics = json.loads((run_dir / "metrics.json").read_text(encoding="utf-8"))
    metric = next(iter(metrics["test"]))
    log = (run_dir / "train.log").read_text(encoding="utf-8").splitlines()
    chosen = [line.partition("  recipe  ")[2].partition(": ")[0] for line in log if "  recipe  " in line]
    named = [option.replace(f"{DATA}/", "").replace(f"{work}/", "") for option in options]
    baseline = metrics["baseline"]
    return {
        "set": name, "use": SETS[name].use, "seed": seed, "without": without, "metric": metric,
        "network": f"{metrics['test'][metric]:.6g}", "baseline": f"{baseline['scores']['test'][metric]:.6g}",
        "baseline_name": baseline["name"],
        "cpu_seconds": f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime:.0f}",
        "chosen": " ".join(chosen), "device": metrics["device"],
        "command": " ".join(["seqzoo train", *named]),
        "commit": metrics["commit"], "date": metrics["date"],
    }  # fmt: skip


def page(rows: Sequence[Row]) -> str:
    """The page of these rows."""
    complete = [row for row in rows if row["without"] == "none"]
    by_set = {
        name: [row for row in complete if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)
    }
    by_set = {name: of_set for name, of_set in by_set.items() if of_set}
    scores = "".join(score_line(of_set) for of_set in by_set.values())
    choices = "".join(f"- {name}: `{of_set[0]['chosen']}`\n" for name, of_set in by_set.items())
    runs = {(row["set"], row["seed"]): row for row in complete}
    pairs = [(row, runs.get((row["set"], row["seed"]))) for row in rows if row["without"] != "none"]
    ablation = "".join(ablation_line(row, whole) for row, whole in pairs if whole is not None)
    return HEADER + scores + CHOICES + choices + (ABLATION + ablation if ablation else "")


def score_line(rows: Sequence[Row]) -> str:
    """The line of a set: means over its runs, the better one in bold."""
    first = rows[0]
    network, baseline = (mean(float(row[column]) for row in rows) for column in ("network", "baseline"))
    better = (network < baseline) == (first["metric"] in LOWER_IS_BETTER) and network != baseline
    written = [f"{network:.4g}", f"{baseline:.4g}"]
    written[0 if better else 1] = f"**{written[0 if better else 1]}**"
    seconds = f"{mean(float(row['cpu_seconds']) for row in rows):,.0f}"
    fields = first["set"], first["use"], first["metric"], *written, first["baseline_name"], seconds, str(len(rows))
    return f"| {' | '.join(fields)} |\n"


def ablation_line(row: Row, whole: Row) -> str:
    """The line of a run without a rule, beside the same run with it."""
    scores = (f"{float(each['network']):.4g}" for each in (whole, row))
    return f"| {' | '.join((row['set'], row['without'], row['metric'], *scores))} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sets", default=",".join(SETS), help="names separated by commas; default: all")
    parser.add_argument("--seeds", help="numbers separated by commas; default: three, or all folds")
    parser.add_argument(
        "--without", choices=("none", *Rules.names), default="none", help="a rule of the recipe to leave out"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/own_files"), help="folder of the files and the runs")
    parser.add_argument("--page", action="store_true", help="only write the page")
    arguments = parser.parse_args()
    if arguments.page:
        PAGE.write_text(page(read_table(RESULTS)), encoding="utf-8")
        return
    for name in arguments.sets.split(","):
        if name not in SETS:
            parser.error(f"there is no set {name}. There are: {', '.join(SETS)}")
        seeds = map(int, arguments.seeds.split(",")) if arguments.seeds else range(SETS[name].seeds)
        for seed in seeds:
            row = run(name, seed, arguments.without, arguments.work)
            table_rows = {tuple(old[key] for key in KEY): old for old in read_table(RESULTS)}
            new = {column: str(row[column]) for column in COLUMNS}
            table_rows[tuple(new[key] for key in KEY)] = new
            write_table(RESULTS, COLUMNS, (table_rows[key] for key in sorted(table_rows)))
            PAGE.write_text(page(read_table(RESULTS)), encoding="utf-8")
            scores = f"{row['metric']} {row['network']}, baseline {row['baseline']}"
            print(f"{name} seed {seed}: {scores}, {row['cpu_seconds']} CPU seconds")


if __name__ == "__main__":
    main()
