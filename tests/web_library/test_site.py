"""What ``latelite export --to web`` writes, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import DEFAULT_BUNDLE
from latelite import Collection
from latelite.cli import main
from latelite.errors import WebAssetsError, WebExportError
from latelite.web.assets import PACKAGES, folder_of_assets
from latelite.web.site import library_folder
from latelite.web.writer import write_site

from .conftest import LIBRARY, Ask

LICENCE = "Do what you like with this model.\n" * 20


@pytest.fixture
def collection(bundle: Callable[[str], Path], tmp_path: Path) -> Path:
    licensed = tmp_path / "bundle"
    shutil.copytree(bundle("bert-pylate"), licensed)
    (licensed / "LICENSE").write_text(LICENCE)
    with Collection(tmp_path / "notes.lt", licensed, precision="int8") as notes:
        notes.add(["a", "b"], ["The lighthouse keeper counts the steps.", "Bread and butter."], show_progress_bar=False)
    return tmp_path / "notes.lt"


def _write(collection: Path, site: Path, assets: Path) -> None:
    with Collection(collection, read_only=True) as notes:
        write_site(notes, site, assets=assets)


def _files(site: Path) -> dict[str, bytes]:
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_the_command_writes_a_site(
    collection: Path, assets: Path, ask: Ask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    command = ["export", str(collection), "--to", "web", str(site), "--assets", str(assets), "--title", "Nöte <1>"]
    assert main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["documents"] == 2
    assert report["precision"] == "int8"
    unvisited = ("LICENSE", "package.json")
    visited = sum(len(content) for name, content in _files(site).items() if not name.endswith(unvisited))
    assert report["first_visit_bytes"] == visited
    (hits,) = ask(site, ("search", "who counts steps?", {"k": 1}))
    assert hits[0]["id"] == "a"
    manifest = json.loads((site / "manifest.webmanifest").read_text(encoding="utf-8"))
    assert manifest["name"] == "Nöte <1>"
    assert {"start_url", "display", "icons"} <= manifest.keys()
    html = (site / "index.html").read_text(encoding="utf-8")
    assert 'rel="manifest"' in html
    assert "<title>Nöte &lt;1></title>" in html
    worker = (site / "service-worker.js").read_text(encoding="utf-8")
    kept = json.loads(re.search(r"FILES = (\[.*?\]);", worker, re.DOTALL)[1])  # type: ignore[index]
    assert {"index.html", "latelite.js", "lib/worker.js", "page/app.js"} <= set(kept)
    assert all((site / name).is_file() for name in kept)
    for name in ("LICENSE", "third_party/onnxruntime-web/LICENSE", "third_party/tokenizers/LICENSE"):
        assert (site / name).stat().st_size > 500
    # The collection has a copy of its model, and with it of the licence.
    assert (site / "MODEL-LICENSE").read_text() == (collection / "model" / "LICENSE").read_text() == LICENCE


def test_the_same_collection_gives_the_same_bytes(collection: Path, assets: Path, tmp_path: Path) -> None:
    _write(collection, tmp_path / "one", assets)
    _write(collection, tmp_path / "two", assets)
    assert _files(tmp_path / "one") == _files(tmp_path / "two")


def test_a_first_visit_takes_19_megabytes_and_the_documents(assets: Path, tmp_path: Path) -> None:
    with Collection(tmp_path / "notes.lt", DEFAULT_BUNDLE) as notes:
        notes.add(["a"], ["The lighthouse keeper counts the steps."], show_progress_bar=False)
        write_site(notes, tmp_path / "site", assets=assets)
    sizes = {name: len(content) for name, content in _files(tmp_path / "site").items() if "LICENSE" not in name}
    # The demo's 2,152 documents take 12.8 MB more, and a first visit to it is to transfer no more than 32 MB.
    assert sum(sizes.values()) < 19.1e6


def test_a_new_export_takes_the_place_of_an_old_one(collection: Path, assets: Path, ask: Ask, tmp_path: Path) -> None:
    site = tmp_path / "site"
    _write(collection, site, assets)
    before = _files(site)
    with Collection(collection) as notes:
        notes.add(["c"], ["A new page about whales."], show_progress_bar=False)
        notes.remove(["b"])
    _write(collection, site, assets)
    after = _files(site)
    (hits,) = ask(site, ("search", "bread whales", {"k": 5}))
    assert {hit["id"] for hit in hits} == {"a", "c"}
    index = json.loads(after["collection.json"])
    named = {part["file"] for file in index["files"].values() for part in file["parts"]}
    assert named == {name for name in after if name.startswith("data/")}
    # Model, tokenizer and wasm are not fetched again.
    for name in ("model", "tokenizer", "wasm"):
        assert index["files"][name] == json.loads(before["collection.json"])["files"][name]
    assert not any(b"butter" in content for content in after.values())


def test_other_folders_are_left_alone(collection: Path, assets: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(WebExportError, match="mine is not empty"):
        _write(collection, tmp_path / "mine", assets)
    assert _files(tmp_path / "mine") == {"thesis.txt": b"all of it"}


def test_an_export_that_was_interrupted_is_begun_anew(
    collection: Path, assets: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("latelite.web.site.write_shell", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _write(collection, site, assets)
    assert _files(site)
    (site / "data" / "0123456789abcdef0123.bin").write_bytes(b"the beginning of a part")
    _write(collection, site, assets)
    assert ask(site, ("count",)) == [2]
    assert not (site / "data" / "0123456789abcdef0123.bin").exists()
    # What else lies in a folder of that name is somebody's own.
    (tmp_path / "mine" / "data").mkdir(parents=True)
    (tmp_path / "mine" / "data" / "sales.bin").write_bytes(b"x")
    with pytest.raises(WebExportError, match="mine is not empty"):
        _write(collection, tmp_path / "mine", assets)


def test_an_empty_collection_is_refused(bundle: Callable[[str], Path], assets: Path, tmp_path: Path) -> None:
    with (
        Collection(tmp_path / "empty.lt", bundle("bert-pylate")) as notes,
        pytest.raises(WebExportError, match="no doc"),
    ):
        write_site(notes, tmp_path / "site", assets=assets)


def test_an_id_that_javascript_cannot_count_to_is_refused(
    bundle: Callable[[str], Path], assets: Path, tmp_path: Path
) -> None:
    with Collection(tmp_path / "notes.lt", bundle("bert-pylate")) as notes:
        notes.add([2**53 + 1], ["A text."], show_progress_bar=False)
        with pytest.raises(WebExportError, match=str(2**53 + 1)):
            write_site(notes, tmp_path / "site", assets=assets)


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "index"])
def test_damage_is_refused_by_name(collection: Path, assets: Path, ask: Ask, tmp_path: Path, damage: str) -> None:
    site = tmp_path / "site"
    _write(collection, site, assets)
    index = json.loads((site / "collection.json").read_text())
    path = site / index["files"]["parts/0/tokens"]["parts"][0]["file"]
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        path.write_bytes(content[:-20] + bytes([content[-20] ^ 1]) + content[-19:])
    elif damage == "missing":
        path.unlink()
    else:
        path = site / "collection.json"
        path.write_bytes(path.read_bytes()[:100])
    (answer,) = ask(site, ("search", "steps"), errors=True)
    assert answer["error"]["name"] == ("UnreachableError" if damage == "missing" else "DamagedFileError")
    assert path.name in answer["error"]["message"]


def test_assets_come_from_archives_as_well(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    names = [package.specification for package in PACKAGES]
    done = subprocess.run(
        [npm, "pack", "--silent", "--prefer-offline", "--pack-destination", str(tmp_path), *names],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    if done.returncode:
        pytest.skip(f"npm cannot fetch the packages: {done.stderr[:200]}")
    found = folder_of_assets(tmp_path)
    for package in PACKAGES:
        for name in package.files:
            assert (found / package.name / name).read_bytes() == (assets / package.name / name).read_bytes()


def test_assets_of_another_version_are_refused(assets: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        for name in package.files:
            (tmp_path / package.name / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(assets / package.name / name, tmp_path / package.name / name)
    changed = tmp_path / PACKAGES[1].name / "dist" / "tokenizers.min.mjs"
    changed.write_bytes(changed.read_bytes() + b" ")
    with pytest.raises(WebAssetsError, match=r"tokenizers\.min\.mjs"):
        folder_of_assets(tmp_path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(WebAssetsError, match="npm pack"):
        folder_of_assets(tmp_path / "nothing")


def test_the_npm_package_holds_the_library(node: str, tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(
        [npm, "pack", "--dry-run", "--json", "--ignore-scripts"],
        cwd=LIBRARY,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(done.stdout)
    (described,) = listed if isinstance(listed, list) else listed.values()
    names = {file["path"] for file in described["files"]}
    assert {"package.json", "README.md", "latelite.js", "element.js"} <= names
    library = {path.relative_to(LIBRARY).as_posix() for path in (library_folder() / "lib").glob("*.js")}
    assert library <= names
