"""Runs on the Hugging Face Hub: `hf://OWNER/NAME` stands for a run directory, as `pretrained:NAME` does.

A repository holds plain data and safetensors only; nothing in it is executed. This module does not import torch.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from seqzoo.contracts.cache import user_cache
from seqzoo.contracts.disk import whole_folder
from seqzoo.contracts.errors import CheckpointError, ConfigError, first_line, not_installed
from seqzoo.training.record.files import BEST, CONFIG, METRICS, SPEC

PREFIX = "hf://"
ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")  # a Path has one slash only
FILES = {CONFIG: "config.json", SPEC: SPEC, METRICS: METRICS, BEST: "model.safetensors"}
"""The files of a run directory, and their names in a repository."""
PATIENCE = 5.0
"""Seconds until the Hub must have answered."""


def is_on_hub(run_dir: str | Path) -> bool:
    """Whether a run directory is an address of the Hub."""
    return str(run_dir).startswith("hf:/")


def hub_library() -> Any:
    """The package huggingface_hub. Raises ConfigError if it is not installed."""
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError([f"the Hugging Face Hub needs {not_installed('huggingface_hub', 'hub')}"]) from None
    return huggingface_hub


def fetched(address: str | Path) -> Path:
    """The run directory of a repository, downloaded to the user's cache unless it is there. Without network, it is what
    was downloaded last.

    Args:
        address: `hf://OWNER/NAME` or, for a branch, tag or commit, `hf://OWNER/NAME@REVISION`.

    Returns:
        The run directory.

    Raises:
        ConfigError: it is not such an address, or huggingface_hub is not installed.
        CheckpointError: a file cannot be downloaded.
    """
    match = ADDRESS.fullmatch(str(address))
    if not match:
        raise ConfigError([f"{address} is not a run on the Hub: write hf://OWNER/NAME, or hf://OWNER/NAME@REVISION"])
    repository, revision = match.groups()
    hub = hub_library()
    try:
        # one request, which is not repeated: a download without network is tried again for half a minute
        hub.HfApi().model_info(repository, revision=revision, timeout=PATIENCE)
        offline = None
    except Exception as error:  # of the network, or of the Hub
        offline = error
    try:
        paths = {
            name: Path(hub.hf_hub_download(repository, stored, revision=revision, local_files_only=offline is not None))
            for name, stored in FILES.items()
        }
    except Exception as error:  # of the network, of the Hub, of the disk
        cause = offline or error
        raise CheckpointError(f"hf://{repository} cannot be downloaded: {first_line(cause)}") from cause
    commit = paths[CONFIG].parent.name  # files are stored in snapshots/COMMIT
    folder = user_cache("hub") / repository.replace("/", "--") / commit
    if not folder.is_dir():
        with whole_folder(folder) as new:
            for name, path in paths.items():
                (new / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(path, new / name)
    return folder
