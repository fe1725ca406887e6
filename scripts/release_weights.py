"""Add a finished run to the pretrained networks: its weights in half precision, their scores, and the card.

python scripts/release_weights.py RUN_DIR NAME --summary TEXT --licence TEXT [--example TEXT]
python scripts/release_weights.py             # only write docs/PRETRAINED.md from the cards

The run directory is not changed. The scores are those of the weights in half precision, so that `seqzoo evaluate
pretrained:NAME` prints them again.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from omegaconf import OmegaConf

import seqzoo
from seqzoo.configuration import registry
from seqzoo.configuration.pretrained import GROUP, LARGEST, PREFIX, WEIGHTS, list_pretrained, read_card
from seqzoo.contracts.disk import write_text
from seqzoo.contracts.strict_json import to_json
from seqzoo.runs.lifecycle import evaluate_run
from seqzoo.runs.sharing import portable
from seqzoo.training.record.checkpoint import save_weights
from seqzoo.training.record.files import BEST, CONFIG, METRICS, SPEC, Metrics, read_config, read_json

REPOSITORY = Path(__file__).resolve().parents[1]
CARDS, PAGE = registry.CONF_DIR / GROUP, REPOSITORY / "docs" / "PRETRAINED.md"
ALL_TOGETHER = 12_000_000
"""Maximum number of bytes of all weights."""
LEFT_OUT = ("train", "report", "baseline")
"""Parts of metrics.json that belong to the run, not to these weights, or that are long."""


def store(run: Path, folder: Path) -> Metrics:
    """Write the run directory of a pretrained network; returns the content of its metrics.json."""
    config = portable(read_config(run))
    write_text(folder / CONFIG, OmegaConf.to_yaml(OmegaConf.create(config)))
    write_text(folder / SPEC, (run / SPEC).read_text(encoding="utf-8"))
    save_weights(folder / BEST, seqzoo.load(run).model.half(), {})
    metrics = {name: value for name, value in read_json(run / METRICS).items() if name not in LEFT_OUT}
    for split in ("validation", "test"):
        if split in metrics:
            _, scores = evaluate_run(folder, split, {"device": "cpu"}, [])
            metrics[split] = {name: score for name, score in scores.items() if name != "report"}
    write_text(folder / METRICS, to_json(metrics, indent=2) + "\n")
    return metrics


def card_text(metrics: Metrics, weights: Path, summary: str, licence: str, example: str) -> str:
    """The YAML of a card."""
    split = "test" if "test" in metrics else "validation"
    metric, score = next(iter(metrics[split].items()))
    content = weights.read_bytes()
    options = {
        "command": metrics["command"],
        "commit": metrics["commit"],
        "data": metrics["choices"]["data"],
        "metric": metric,
        "split": split,
        "score": float(f"{score:.4g}"),
        "parameters": metrics["parameters"],
        "licence": licence,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        **({"example": example} if example else {}),
    }
    return f"# {summary}\n{OmegaConf.to_yaml(OmegaConf.create(options))}"


def page() -> str:
    """The text of docs/PRETRAINED.md."""
    cards = [read_card(name) for name in list_pretrained()]
    rows = [
        f"| `{card.name}` | {card.summary} | {card.scored} | {card.parameters:,} | {card.size / 1e6:.2f} "
        f"| {card.licence} |"
        for card in cards
    ]
    commands = [f"    {card.command}   # {card.name}, revision {card.commit}" for card in cards]
    table = "\n".join(
        ["| name | what it does | score | parameters | MB | licence |", "|---|---|---|---|---|---|", *rows]
    )
    return HEADER.replace("TABLE", table).replace("COMMANDS", "\n".join(commands))


HEADER = f"""# Pretrained networks

Small networks that are part of the package, so that nothing is downloaded. `{PREFIX}NAME` stands for a run directory:

    seqzoo list pretrained
    seqzoo info {PREFIX}addition_lstm
    seqzoo predict {PREFIX}addition_lstm 535+61
    seqzoo evaluate {PREFIX}addition_lstm
    seqzoo compare '{PREFIX}*'

```python
seqzoo.list_pretrained("addition*")  # ['addition_lstm']
seqzoo.load("{PREFIX}addition_lstm").predict(["535+61"])  # [Prediction(answer='596', score=...)]
```

TABLE

Scores are those of the stored weights, in half precision; `seqzoo evaluate {PREFIX}NAME` computes them again (from the
files of the data set below `SEQZOO_DATA`, where it is not generated). Weights are safetensors whose SHA-256 is in the
card, `conf/pretrained/NAME.yaml`, and is verified when they are loaded. Computations are in single precision. Weights
have the licence of the data that they were trained on. The commands that trained them:

COMMANDS

`python scripts/release_weights.py RUN_DIR NAME --summary TEXT --licence TEXT` adds a network and writes this page.
`seqzoo demo` shows all of them in the browser ([DEMO.md](DEMO.md)).

## On the Hugging Face Hub

    pip install 'seqzoo[hub]' && hf auth login
    seqzoo push RUN_DIR OWNER/NAME --licence cc-by-4.0
    seqzoo predict hf://OWNER/NAME "some text"

`seqzoo push` uploads `config.json`, `spec.json`, `metrics.json`, `model.safetensors` and a model card with the scores,
the command and the licence; `--to FOLDER` writes these files without uploading them. Where the run found its data files
is left out, but options and the command stay as they were given. `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION`,
stands for a run directory everywhere, as in `seqzoo.load("hf://OWNER/NAME")` and `init=hf://OWNER/NAME`. Nothing in a
repository is executed.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", nargs="?", type=Path, help="a finished run")
    parser.add_argument("name", nargs="?", help="of the pretrained network, such as addition_lstm")
    parser.add_argument("--summary", help="what it does, in one line")
    parser.add_argument("--licence", help="of the data that it was trained on")
    parser.add_argument("--example", default="", help="an input; leave it out if inputs are files")
    chosen = parser.parse_args()
    if chosen.run_dir is not None:
        if not (chosen.name and chosen.summary and chosen.licence):
            parser.error("give NAME, --summary and --licence")
        folder = WEIGHTS / chosen.name
        metrics = store(chosen.run_dir, folder)
        card = card_text(metrics, folder / BEST, chosen.summary, chosen.licence, chosen.example)
        write_text(CARDS / f"{chosen.name}.yaml", card)
        print(read_card(chosen.name))
    sizes = {name: read_card(name).size for name in list_pretrained()}
    too_large = [name for name, size in sizes.items() if size > LARGEST]
    if too_large or sum(sizes.values()) > ALL_TOGETHER:
        raise SystemExit(
            f"weights may have {LARGEST / 1e6} MB each and {ALL_TOGETHER / 1e6} MB together: make {too_large} smaller"
        )
    write_text(PAGE, page())
    print(f"wrote {PAGE}")


if __name__ == "__main__":
    main()
