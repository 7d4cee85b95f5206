"""Finding a checkpoint: a local folder first, the model hub second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latelite_export.errors import CheckpointNotFoundError, HubUnreachableError

_PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "artifact.metadata", "*.py"]
_IGNORED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.msgpack", "optimizer.*", "training_args.bin"]


@dataclass(frozen=True)
class Location:
    """A checkpoint on this machine."""

    folder: Path
    id: str
    """Hub id, or the folder's name."""
    revision: str | None
    """Commit of the hub; None for a local folder."""


def locate(
    checkpoint: str | Path, *, revision: str | None = None, token: str | None = None, offline: bool = False
) -> Location:
    """Find ``checkpoint``, downloading it if it is a hub id.

    Raises:
        CheckpointNotFoundError: it is neither a folder nor a repository (of that revision) on the hub.
        HubUnreachableError: the hub cannot be reached or refuses access.
    """
    folder = Path(checkpoint)
    if folder.is_dir():
        return Location(folder, folder.resolve().name, None)
    name = str(checkpoint)
    if isinstance(checkpoint, Path) or name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name:
        raise CheckpointNotFoundError(f"there is no folder {name}.")
    return _download(name, revision, token, offline=offline)


def _download(name: str, revision: str | None, token: str | None, *, offline: bool) -> Location:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    advice = "download it elsewhere and give its folder instead: latelite-export FOLDER -o BUNDLE"
    try:
        path = snapshot_download(
            name,
            revision=revision,
            token=token,
            local_files_only=offline,
            allow_patterns=_PATTERNS,
            ignore_patterns=_IGNORED,
        )
    except HFValidationError as error:
        raise CheckpointNotFoundError(f"{name!r} is neither a folder nor a name that a hub could have.") from error
    except RevisionNotFoundError as error:
        raise CheckpointNotFoundError(f"{name} has no revision {revision!r} on the hub.") from error
    except GatedRepoError as error:
        raise HubUnreachableError(f"{name} asks for an accepted licence and a token (--token); or {advice}") from error
    except RepositoryNotFoundError as error:
        raise CheckpointNotFoundError(
            f"there is no folder {name}, and no repository of that name on the hub (a private one needs --token)."
        ) from error
    except (LocalEntryNotFoundError, EntryNotFoundError, OSError) as error:
        if offline:
            raise CheckpointNotFoundError(
                f"there is no folder {name}, and no downloaded copy of a repository of that name; leave out --offline, "
                f"or {advice}"
            ) from error
        raise HubUnreachableError(
            f"there is no folder {name}, and the model hub cannot be reached ({type(error).__name__}); {advice}"
        ) from error
    folder = Path(path)
    return Location(folder, name, folder.name)
