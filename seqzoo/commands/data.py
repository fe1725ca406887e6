"""Download data sets."""

from __future__ import annotations

import sys

from seqzoo.commands.command_line import pairs_of
from seqzoo.configuration import composing
from seqzoo.contracts.errors import ConfigError


def data(arguments: list[str]) -> None:
    """Download a named data set and verify its checksum."""
    wants_help = "-h" in arguments or "--help" in arguments
    if wants_help or len(arguments) < 2 or arguments[0] != "fetch":
        print("seqzoo data fetch NAME [root=FOLDER]: download a data set and verify its checksum")
        print("seqzoo list data: the names of all data sets")
        sys.exit(0 if wants_help or not arguments else 2)
    from seqzoo.data.sources.fetching import fetch

    name = arguments[1]
    options = pairs_of(arguments[2:], ("root",))
    section = composing.load("data", name)
    if not section.get("source"):
        raise ConfigError([f"data={name} is not fetched: it is generated, or reads files of your own"])
    for path in fetch(section["source"], options.get("root") or section.get("root")):
        print(path)
