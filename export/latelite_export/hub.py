"""Locates a checkpoint: in a local folder, else on the model hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latelite_export.errors import CheckpointNotFoundError, HubUnreachableError, SettingError

_PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors", "artifact.metadata", "LICEN[CS]E*", "NOTICE*"]
_PICKLES = "*.bin"
_CODE = "*.py"
_IGNORED = ["onnx/*", "openvino/*", "checkpoint-*/*", "optimizer.*", "training_args.bin"]


@dataclass(frozen=True)
class Location:
    """A checkpoint on this machine."""

    folder: Path
    id: str
    """Hub id, or the folder's name."""
    revision: str | None
    """Commit on the hub; None for a local folder."""


def locate(
    checkpoint: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    code: bool = False,
) -> Location:
    """Find ``checkpoint``, downloading it if it is a hub id.

    Args:
        checkpoint: folder or hub id. A folder needs no network.
        revision: branch, tag or commit on the hub.
        token: access token for the hub.
        offline: use only files downloaded before.
        code: also download Python files.

    Raises:
        SettingError: ``revision`` was given for a folder.
        CheckpointNotFoundError: there is no such folder, and no such repository or revision on the hub.
        HubUnreachableError: the hub cannot be reached or refuses access.
    """
    folder = Path(checkpoint)
    if folder.is_dir():
        if revision is not None:
            raise SettingError(
                f"{checkpoint} is a folder, and folders have no revisions; leave out --revision {revision}."
            )
        return Location(folder, folder.resolve().name, None)
    name = str(checkpoint)
    if isinstance(checkpoint, Path) or name.count("/") > 1 or name.startswith((".", "/", "~")) or "\\" in name:
        raise CheckpointNotFoundError(f"there is no folder {name}.")
    return _download(name, revision, token, offline=offline, code=code)


def _download(name: str, revision: str | None, token: str | None, *, offline: bool, code: bool) -> Location:
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
    patterns = [*_PATTERNS, *([_CODE] if code else [])]

    def download(patterns: list[str]) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                token=token,
                local_files_only=offline,
                allow_patterns=patterns,
                ignore_patterns=_IGNORED,
            )
        )

    try:
        folder = download(patterns)
        if not _has_weights(folder):
            folder = download([*patterns, _PICKLES])
    except HFValidationError as error:
        raise CheckpointNotFoundError(f"{name!r} is neither a folder nor a valid hub id.") from error
    except RevisionNotFoundError as error:
        raise CheckpointNotFoundError(f"{name} has no revision {revision!r} on the hub.") from error
    except GatedRepoError as error:
        raise HubUnreachableError(
            f"{name} is gated: accept its licence on the hub and pass --token, or {advice}"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointNotFoundError(
            f"there is no folder {name}, and no repository of that name on the hub (a private one needs --token)."
        ) from error
    except (LocalEntryNotFoundError, EntryNotFoundError, OSError) as error:
        if offline:
            raise CheckpointNotFoundError(
                f"there is no folder {name} and no downloaded copy of such a repository; leave out --offline, "
                f"or {advice}"
            ) from error
        raise HubUnreachableError(
            f"there is no folder {name}, and the model hub cannot be reached ({type(error).__name__}); {advice}"
        ) from error
    return Location(folder, name, folder.name)


def _has_weights(folder: Path) -> bool:
    """Whether encoder and projection are there as safetensors, so that pickles need not be downloaded."""
    return all(any(part.glob("*.safetensors")) for part in (folder, *folder.glob("*_Dense")))
