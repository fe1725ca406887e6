"""Folders on this machine for files that can be rebuilt."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)


@functools.cache
def user_cache(kind: str) -> Path:
    """A cache folder that only this user can change, because its content is trusted.

    Args:
        kind: name of the folder.

    Returns:
        A folder below $XDG_CACHE_HOME or ~/.cache; where none is safe to use, a temporary one that is removed when the
        process ends.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        folder = Path(base, "seqzoo", kind)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # links resolved: anyone who can change a folder above it could replace it
        folder = folder.resolve(strict=True)
        if not _only_we_can_change(folder):
            reason = "it can be changed by others"
        elif open_to_others := [str(above) for above in folder.parents if not _is_safe(above)]:
            reason = f"{open_to_others[0]} can be changed by others"
        elif os.access(folder, os.W_OK):
            return folder
        else:
            reason = "it cannot be written"
        logger.warning("seqzoo: %s is not used as a cache: %s.", folder, reason)
    except (OSError, AttributeError):  # no home, a full disk, or a system without owners
        pass
    folder = Path(tempfile.mkdtemp(prefix="seqzoo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _only_we_can_change(folder: Path) -> bool:
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _is_safe(above: Path) -> bool:
    """Whether no other user can rename entries of the folder; in a sticky one, such as /tmp, only the owner can."""
    status = above.stat()
    private = not status.st_mode & 0o022 or bool(status.st_mode & stat.S_ISVTX)
    return private and status.st_uid in (0, os.getuid())
