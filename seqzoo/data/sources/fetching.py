"""Downloads of public data files with checksums, by `pooch`."""

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
    """Download missing files into `data_root(root)`.

    Args:
        source: as of `Source.from_plain`.
        root: as of `data_root`.
        downloader: called with URL, file and pooch; None: that of pooch, with a progress bar.

    Returns:
        The paths of all files.

    Raises:
        DataError: a download failed, or a checksum differs.
    """
    origin, folder = Source.from_plain(source), data_root(root)
    if origin.url is None:
        raise DataError(
            f"{origin.name} cannot be downloaded: put {', '.join(origin.files)} into {folder}. "
            f"{origin.about.removesuffix('.')}"
        )
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
                f"{name} could not be downloaded from {addresses[name]} ({error}): try again, or put it at "
                f"{folder / name} yourself (sha256 {checksum})"
            ) from error
    return paths


def _pooch() -> Any:
    try:
        import pooch
    except ImportError:
        raise DataError(f"downloading data needs {not_installed('pooch')}") from None
    return pooch
