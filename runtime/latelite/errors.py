"""Every error that latelite raises on purpose.

Each class also inherits the standard type that fits, so that ``except ValueError`` or ``except KeyError`` works
without knowing latelite.
"""


class LateliteError(Exception):
    """Base of all latelite errors."""


class BundleError(LateliteError):
    """A bundle folder cannot be used."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """There is no bundle at the given path, or one of its files is missing."""


class BundleCorruptError(BundleError, ValueError):
    """A file of a bundle is truncated, altered, or not what the manifest says."""


class BundleVersionError(BundleError, ValueError):
    """The bundle was written in another format version."""


class StoreError(LateliteError):
    """An index or collection folder cannot be used."""


class IndexNotFoundError(StoreError, FileNotFoundError):
    """There is no index at the given path, or one of its files is missing."""


class IndexCorruptError(StoreError, ValueError):
    """A file of an index is truncated, altered, or not what its generation says."""


class IndexVersionError(StoreError, ValueError):
    """The index was written in another format version or by another kind of index."""


class IndexLockedError(StoreError, BlockingIOError):
    """Another process is writing to the index."""


class IndexMismatchError(StoreError, ValueError):
    """Vectors, dimension or model do not belong to this index."""


class IndexWriteError(StoreError, OSError):
    """The index could not be written: disk full, no permission; what was published before is unchanged."""


class DuplicateIdError(LateliteError, ValueError):
    """A document id occurs twice in one call, or is in the index already."""


class UnknownIdError(LateliteError, KeyError):
    """A document id is not in the index."""

    def __str__(self) -> str:  # KeyError shows repr(args[0]), which turns a sentence into a quoted string
        return str(self.args[0]) if self.args else ""


class InvalidVectorsError(LateliteError, ValueError):
    """Token vectors have a wrong shape, dtype, dimension, no rows, or are not finite."""


class ProviderError(LateliteError, RuntimeError):
    """An execution provider of ONNX Runtime was asked for and cannot be used."""


class MissingExtraError(LateliteError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""


class FilterError(LateliteError, ValueError):
    """A ``where`` is no filter: an unknown operator, or a value that its operator does not take."""


class OutputExistsError(LateliteError, FileExistsError):
    """What is to be written is there already, and replacing it was not asked for."""


class WebExportError(LateliteError, ValueError):
    """A collection cannot be written as a site for browsers."""


class WebAssetsError(LateliteError, OSError):
    """The JavaScript packages that a site needs could not be fetched, or are not the versions that are pinned."""
