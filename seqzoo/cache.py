"""A place on this machine for what can be made again."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


@functools.cache
def user_cache(kind: str) -> Path:
    """A folder of this user alone, as what lies there is trusted; where there can be none, of this process."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base, "seqzoo", kind)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    except (OSError, AttributeError):
        pass
    folder = Path(tempfile.mkdtemp(prefix="seqzoo-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
