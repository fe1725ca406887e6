"""Upload a run to the Hugging Face Hub."""

from __future__ import annotations

import argparse
from pathlib import Path


def push(arguments: list[str]) -> None:
    """Upload a finished run, or write the folder that would be uploaded."""
    parser = argparse.ArgumentParser(
        "seqzoo push",
        description="Upload configuration, weights, scores and a model card of a finished run to the Hugging Face Hub. "
        "seqzoo.load and all commands that read a run then take hf://OWNER/NAME. Log in before: hf auth login",
    )
    parser.add_argument("run_dir", type=Path, help="a run directory, or pretrained:NAME")
    parser.add_argument("repository", metavar="OWNER/NAME", help="the repository; it is created if it does not exist")
    parser.add_argument("--licence", required=True, help="licence of the weights, such as mit or cc-by-4.0")
    parser.add_argument("--private", action="store_true", help="a new repository is private")
    parser.add_argument("--to", type=Path, help="only write the files into this new folder; nothing is uploaded")
    chosen = parser.parse_intermixed_args(arguments)
    from seqzoo.runs import sharing

    if chosen.to is not None:
        sharing.write_shared(chosen.run_dir, chosen.to, chosen.repository, chosen.licence)
        print(f"wrote {', '.join(sorted(path.name for path in chosen.to.iterdir()))} into {chosen.to}")
        return
    print(sharing.push(chosen.run_dir, chosen.repository, chosen.licence, private=chosen.private))
