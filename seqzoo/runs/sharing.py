"""Sharing a run: a folder with configuration, weights, scores and a model card, which can be uploaded to the Hub."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqzoo.configuration.hub import ADDRESS, FILES, PREFIX, hub_library
from seqzoo.configuration.pretrained import run_folder
from seqzoo.contracts.arguments import check_argument, check_folder
from seqzoo.contracts.disk import whole_folder, write_text
from seqzoo.contracts.errors import CheckpointError, ConfigError, first_line
from seqzoo.contracts.options import Options, thawed
from seqzoo.runs.loading import load
from seqzoo.training.record.files import BEST, CONFIG, METRICS, SPEC, Metrics, read_config, read_json

CARD = "README.md"
LICENCE = re.compile(r"[\w.-]+")
LIMITS = (
    "The scores are those of the test data above; other texts may be answered worse, and rare or offensive content of "
    "the training data may be repeated. Check the licence and the origin of the data before use."
)


def push(run_dir: str | Path, repository: str, licence: str, *, private: bool = False) -> str:
    """Upload a finished run to the Hugging Face Hub, with a model card; an earlier upload is replaced by a new commit.

    You must be logged in (`hf auth login`). `seqzoo.load("hf://OWNER/NAME")` loads the run.

    Args:
        run_dir: the run directory.
        repository: "OWNER/NAME".
        licence: of the weights, as an identifier of the Hub, such as "mit" or "cc-by-4.0".
        private: whether a new repository is private.

    Returns:
        The address, hf://OWNER/NAME.

    Raises:
        TypeError: an argument has a wrong type.
        ConfigError: the name is invalid, or huggingface_hub is not installed.
        CheckpointError: the directory is not a finished run, or the upload fails.
    """
    _check(repository, licence)
    hub = hub_library()
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_shared(run_dir, Path(temporary, "run"), repository, licence)
        client = hub.HfApi()
        try:
            client.create_repo(repository, private=private, exist_ok=True)
            client.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload by seqzoo push")
        except Exception as error:  # of the network and of the Hub
            raise CheckpointError(f"{run_dir} cannot be uploaded to {repository}: {first_line(error)}") from error
    return f"{PREFIX}{repository}"


def write_shared(run_dir: str | Path, folder: Path, repository: str, licence: str) -> Path:
    """Write the files of a finished run that are shared, and a model card, into a new folder.

    Paths of data files are left out of the configuration.

    Args:
        run_dir: the run directory.
        folder: which must not exist.
        repository: where it will be, for the model card.
        licence: of the weights.

    Returns:
        The folder.

    Raises:
        CheckpointError: the directory is not a finished run.
        ConfigError: the folder exists, or the name or the licence is invalid.
    """
    check_folder("run_dir", run_dir)
    _check(repository, licence)
    source = run_folder(run_dir)
    config, metrics = read_config(source), read_json(source / METRICS)
    load(source)  # the weights are those of the configuration
    if folder.exists():
        raise ConfigError([f"{folder} exists already: choose a new folder"])
    with whole_folder(folder) as new:
        write_text(new / FILES[CONFIG], json.dumps(portable(config), indent=2) + "\n")
        for name in (SPEC, METRICS, BEST):
            shutil.copyfile(source / name, new / FILES[name])
        write_text(new / CARD, model_card(config, metrics, repository, licence))
    return folder


def _check(repository: str, licence: str) -> None:
    check_argument("repository", repository, str, "a text, OWNER/NAME")
    if not ADDRESS.fullmatch(f"{PREFIX}{repository}") or "@" in repository:
        raise ConfigError([f"the repository is {repository!r}: write OWNER/NAME"])
    check_argument("licence", licence, str, 'a text, such as "mit"')
    if not LICENCE.fullmatch(licence):
        raise ConfigError([f"the licence is {licence!r}: write an identifier of the Hub, such as mit or cc-by-4.0"])


def portable(config: Options) -> Options:
    """A configuration whose data files are looked for below the folder for all data, wherever the run found them."""
    files = [{**record, "path": record["name"]} for record in config.get("data_files") or []]
    return {**thawed(config), "data_files": files}


def model_card(config: Options, metrics: Metrics, repository: str, licence: str) -> str:
    """The text of the model card, with the metadata that the Hub reads."""
    choices: Mapping[str, Any] = config["choices"]
    head = [
        "---",
        f"license: {licence}",
        "library_name: seqzoo",
        "tags:",
        *(f"- {tag}" for tag in _tags(choices)),
        "---",
    ]
    about = {
        "task": choices["task"],
        "network": f"{choices['cell']}, {choices['backbone']}, {metrics['parameters']:,} parameters",
        "data": choices["data"],
        "command": f"`{metrics['command']}`",
        "revision": metrics.get("commit") or "unknown",
        "date": metrics.get("date", "unknown"),
        "licence": licence,
    }
    rows = [
        f"| {split} | {name} | {value:.4g} |"
        for split in ("validation", "test")
        for name, value in metrics.get(split, {}).items()
        if isinstance(value, (int, float))
    ]
    body = [
        f"# {choices['task']}: {choices['data']}, {choices['cell']}",
        "A recurrent network, trained with seqzoo. Nothing in this repository is code.",
        f'```python\nimport seqzoo\n\nseqzoo.load("{PREFIX}{repository}").predict(["..."])\n```',
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "\n".join(["| split | score | value |", "|---|---|---|", *rows]),
        LIMITS,
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(body) + "\n"


def _tags(choices: Mapping[str, Any]) -> list[str]:
    return ["seqzoo", "recurrent-neural-network", choices["task"], choices["cell"]]
