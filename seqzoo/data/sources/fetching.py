"""Public data files from the net, checked against their checksums. `pooch` does the work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from seqzoo.contracts.errors import DataError, not_installed
from seqzoo.data.sources.locations import data_root
from seqzoo.data.sources.source import Source


def fetch(
    source: dict, root: str | None = None, downloader: Callable[[str, str, Any], None] | None = None
) -> list[Path]:
    """Download what is not there yet into `data_root(root)`; the paths of all files.

    downloader: called with address, file and pooch; pooch's own, with a progress bar, where it is None.
    Raises DataError where the net does not answer or a checksum differs.
    """
    origin, folder = Source.from_plain(source), data_root(root)
    if origin.url is None:
        raise DataError(f"{origin.name} cannot be fetched: put {', '.join(origin.files)} into {folder}. {origin.about}")
    addresses = {name: f"{origin.url.rstrip('/')}/{PurePosixPath(name).name}" for name in origin.files}
    store = _pooch().create(
        path=folder,
        base_url="",
        registry={name: f"sha256:{checksum}" for name, checksum in origin.files.items()},
        urls=addresses,
        retry_if_failed=2,
    )
    paths = []
    for name, checksum in origin.files.items():
        try:
            paths.append(Path(store.fetch(name, downloader=downloader, progressbar=downloader is None)))
        except (OSError, ValueError) as error:
            raise DataError(
                f"{name} could not be fetched from {addresses[name]} ({error}): try again, or put it at "
                f"{folder / name} yourself (sha256 {checksum})."
            ) from error
    return paths


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        raise DataError(f"Fetching data needs {not_installed('pooch')}") from None
    return pooch
