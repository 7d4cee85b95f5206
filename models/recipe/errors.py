"""The recipe's errors. Each message is one sentence for the person who ran it."""


class RecipeError(RuntimeError):
    """Base of the recipe's errors; the commands print the message and exit with 1."""


class FetchError(RecipeError):
    """A pinned file could not be downloaded."""


class ChecksumError(RecipeError):
    """A downloaded file is not the pinned one."""


class FormatError(RecipeError, ValueError):
    """A file does not have the format that its reader expects."""


class LeakError(RecipeError):
    """Training text contains judged text of an evaluation set."""
