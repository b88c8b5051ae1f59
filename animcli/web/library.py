"""Contents of the project by digest, and results by the manifests beside them.

Nothing here is a state of the page's own: artifacts are the cache's, results are files in
the folder `studio` of the project, and each says by its manifest how it was made.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from animcli.files import SHA256_HEX, disk_errors
from animcli.pipeline.output import is_manifest
from animcli.pipeline.project import Project
from animcli.pipeline.record import CacheKey, Record, hash_file
from animcli.web.uploads import Uploads

RESULTS: Final = "studio"
LARGEST_MANIFEST: Final = 1 << 20
MOST_RESULTS: Final = 500


@dataclass(frozen=True)
class StoredItem:
    """A file, or a folder of frames, that the page may look at.

    root, parts: where it is. name: what it is called where it is saved.
    """

    digest: str
    name: str
    root: Path
    parts: tuple[str, ...]

    @property
    def path(self) -> Path:
        """All of it together."""
        return self.root.joinpath(*self.parts)


@dataclass(frozen=True)
class ProjectResult:
    """A result and its manifest."""

    path: Path
    manifest: Mapping[str, Any]
    time: float

    @property
    def digest(self) -> str:
        """SHA-256 of the result, as its manifest says."""
        return str(self.manifest["result"]["sha256"])

    @property
    def keys(self) -> list[str]:
        """Cache keys of what is this result's alone: its frames and its file."""
        return [recipe_key(stage) for stage in self.manifest["stages"][-2:]]

    @property
    def seconds(self) -> float:
        """That all stages took."""
        return float(sum(stage["seconds"] for stage in self.manifest["stages"]))


def recipe_key(stage: Mapping[str, Any]) -> str:
    """The cache key of a stage of a manifest."""
    return CacheKey(**{each.name: stage[each.name] for each in fields(CacheKey)}).digest


@dataclass(frozen=True)
class Library:
    """Uploads, artifacts and results of one project."""

    project: Project
    uploads: Uploads
    _records: dict[str, Record] = field(default_factory=dict, init=False)
    _manifests: dict[tuple[Path, float], ProjectResult | None] = field(
        default_factory=dict, init=False
    )

    @property
    def results(self) -> Path:
        """The folder for results."""
        return self.project.root / RESULTS

    def find(self, digest: str, *, results_first: bool = False) -> StoredItem | None:
        """Look up a digest: an upload, an artifact or a result.

        results_first: rather a result, beside which its manifest is, than the artifact.
        """
        if SHA256_HEX.fullmatch(digest) is None:
            return None
        upload = self.uploads.find(digest)
        if upload is not None:
            return StoredItem(digest, upload.name, self.uploads.root, upload.parts)
        ways = (self._result, self._artifact) if results_first else (
            self._artifact, self._result,
        )  # fmt: skip
        return next((found for way in ways if (found := way(digest)) is not None), None)

    def _artifact(self, digest: str) -> StoredItem | None:
        for key, record in self._known():
            if record.digest == digest:
                name = f"{record.cache_key.stage}{record.suffix}"
                return StoredItem(digest, name, self.project.cache, ("store", key, name))
        return None

    def _result(self, digest: str) -> StoredItem | None:
        for made in self.made():
            if made.digest == digest:
                name = made.path.name
                return StoredItem(digest, name, made.path.parent, (name,))
        return None

    def digest_of(self, key: str) -> str | None:
        """The digest of the artifact with a cache key."""
        record = dict(self._known()).get(key)
        return None if record is None else record.digest

    def _known(self) -> Iterator[tuple[str, Record]]:
        """Key and record of every finished artifact."""
        folder = self.project.cache / "store"
        names = [x.name for x in folder.iterdir()] if folder.is_dir() else []
        for gone in self._records.keys() - set(names):
            del self._records[gone]
        for name in names:
            if SHA256_HEX.fullmatch(name) is None:
                continue
            if name not in self._records:
                with suppress(OSError, ValueError):
                    text = (folder / name / "record.json").read_bytes()
                    self._records[name] = Record.from_json(text)
            if name in self._records:
                yield name, self._records[name]

    def made(self) -> Iterator[ProjectResult]:
        """Results with their manifests, the newest first."""
        found = []
        for folder in (self.results, self.project.root):
            for path in folder.glob("*.json") if folder.is_dir() else ():
                with suppress(OSError):
                    status = path.lstat()
                    if status.st_size <= LARGEST_MANIFEST and not path.is_symlink():
                        found.append((status.st_mtime, path))
        for time, path in sorted(found, reverse=True)[:MOST_RESULTS]:
            if (path, time) not in self._manifests:
                self._manifests[path, time] = read_made(path, time)
            made = self._manifests[path, time]
            if made is not None and made.path.exists():
                yield made

    def history(self) -> list[dict[str, Any]]:
        """Every result, as the page reads it."""
        stored = dict(self._known())
        return [
            {
                "digest": each.digest,
                "name": each.path.name,
                "folder": each.path.parent.name if each.path.parent == self.results else "",
                "time": each.time,
                "seconds": round(each.seconds, 1),
                "bytes": sum(stored[key].length for key in each.keys if key in stored),
                "keys": [key for key in each.keys if key in stored],
                "pose": self._motion_of(each, stored),
                "there": self._is_there(each),
                "follows": follows(each.manifest),
                **self.settings(each.manifest),
            }
            for each in self.made()
        ]

    @staticmethod
    def _motion_of(made: ProjectResult, stored: Mapping[str, Record]) -> str:
        """Digest of the motion that a result follows; "" where it isn't in the cache."""
        kept = {record.digest for record in stored.values() if record.suffix == ".pose"}
        found = [stage["made"] for stage in made.manifest["stages"]]
        return next((digest for digest in reversed(found) if digest in kept), "")

    def _is_there(self, made: ProjectResult) -> bool:
        return any(record.digest == made.digest for _, record in self._known())

    def settings(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The words of a manifest, with digests in place of files that are known.

        inputs: of files that went into it: digest, and whether it is here.
        """
        stages = manifest["stages"]
        digests = dict.fromkeys(x for stage in stages for x in stage["inputs"].values())
        made = {stage["made"] for stage in stages}
        inputs = [digest for digest in digests if digest not in made]
        words = [str(word) for word in manifest["command"]][1:]
        return {
            "words": [self._as_digest(word, inputs) for word in words],
            "inputs": [{"digest": x, "here": self.find(x) is not None} for x in inputs],
        }

    def _as_digest(self, word: str, inputs: list[str]) -> str:
        """The digest of the upload that a word is the path of; other words as they are."""
        parts = Path(word).parts
        if len(parts) >= 2 and SHA256_HEX.fullmatch(parts[-2]):
            return parts[-2]
        if "/" in word or "." in word:
            with suppress(OSError, ValueError):
                path = self.project.root / word
                if path.is_file() and path.stat().st_size < 1 << 28:
                    digest = hash_file(path)
                    return digest if digest in inputs else word
        return word

    def delete(self, digest: str) -> bool:
        """Remove a result's files from the folder of results; whether there was one.

        What the cache holds of it is cleared by `cache clear`.
        """
        for made in self.made():
            if made.digest == digest and made.path.parent == self.results:
                beside = made.path.with_name(f"{made.path.name}.json")
                with disk_errors(made.path):
                    if made.path.is_dir() and not made.path.is_symlink():
                        shutil.rmtree(made.path)
                    else:
                        made.path.unlink(missing_ok=True)
                    beside.unlink(missing_ok=True)
                return True
        return False


def follows(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Part of its footage that a result follows: its start in seconds, and how fast."""
    settings = {stage["stage"]: stage["settings"] for stage in manifest["stages"]}
    return {
        "start": str(settings.get("extract-pose", {}).get("start") or "0"),
        "speed": str(settings.get("encode", {}).get("speed") or "1"),
    }


def read_made(path: Path, time: float) -> ProjectResult | None:
    """The result that a manifest is beside; None for any other JSON file."""
    if not is_manifest(path):
        return None
    try:
        manifest = json.loads(path.read_bytes())
        made = ProjectResult(path.with_suffix(""), manifest, time)
        ok = bool(made.digest and made.keys and made.seconds >= 0 and manifest["command"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return made if ok else None
