"""The report of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from latelite.sources.reading import Problem


@dataclass
class Report:
    """Counts of files and passages. ``files = new + changed + renamed + unchanged`` files; the others are problems."""

    files_new: int = 0
    files_changed: int = 0
    files_renamed: int = 0
    files_unchanged: int = 0
    files_removed: int = 0
    added: int = 0
    """Passages encoded."""
    moved: int = 0
    """Passages that got another id or file without being encoded again."""
    unchanged: int = 0
    removed: int = 0
    problems: list[Problem] = field(default_factory=list)
    documents: int = 0
    """All documents in the collection afterwards, not only those from files."""
    seconds: float = 0.0
    dry_run: bool = False

    @property
    def files(self) -> int:
        """Files whose text is in the collection."""
        return self.files_new + self.files_changed + self.files_renamed + self.files_unchanged

    @property
    def skipped(self) -> list[Problem]:
        """Files without text to search."""
        return [each for each in self.problems if each.skipped]

    @property
    def failed(self) -> list[Problem]:
        """Files, and parts of files, that could not be read."""
        return [each for each in self.problems if not each.skipped]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "files": self.files,
            "documents": self.documents,
            "added": self.added,
            "unchanged": self.unchanged,
            "removed": self.removed,
            "moved": self.moved,
            "files_new": self.files_new,
            "files_changed": self.files_changed,
            "files_renamed": self.files_renamed,
            "files_unchanged": self.files_unchanged,
            "files_removed": self.files_removed,
            "skipped": [{"path": each.path, "reason": each.reason} for each in self.skipped],
            "failed": [{"path": each.path, "reason": each.reason} for each in self.failed],
            "dry_run": self.dry_run,
            "seconds": round(self.seconds, 3),
        }

    def __str__(self) -> str:
        would = "would be " if self.dry_run else ""
        passages = [f"{self.added:,} added", f"{self.unchanged:,} unchanged", f"{self.removed:,} removed"]
        if self.moved:
            passages.append(f"{self.moved:,} moved")
        files = [
            f"{count:,} {what}"
            for count, what in (
                (self.files_new, "new"),
                (self.files_changed, "changed"),
                (self.files_renamed, "renamed"),
                (self.files_unchanged, "unchanged"),
                (self.files_removed, "removed"),
                (len(self.skipped), "skipped"),
                (len({each.path.partition(", ")[0] for each in self.failed}), "with errors"),
            )
            if count
        ]
        return (
            f"{self.documents:,} documents ({would}{', '.join(passages)}) "
            f"from {self.files:,} files ({', '.join(files) or 'none found'}) in {self.seconds:.1f} s"
        )
