"""The version of seqzoo, which is also that of the package."""

__version__ = "0.1.0"
