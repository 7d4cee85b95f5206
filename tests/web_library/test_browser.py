"""An exported site in a browser (`browser.test.mjs`, by Chromium and Playwright)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import DEFAULT_BUNDLE
from latelite import Collection
from latelite.web.writer import write_site

HERE = Path(__file__).parent
PLAYWRIGHT = HERE.parent / "web" / "node_modules" / "playwright-core" / "index.mjs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PASSAGES = (
    ("files.md", "en", "Delete a whole directory tree: shutil.rmtree removes a folder and everything that is in it."),
    ("files.md", "en", "Create a temporary file that disappears when it is closed."),
    ("files.md", "en", "🚚 Move boxes, files or directories to another location: they are copied first."),
    ("bahn.md", "de", "Der Nachtzug nach Hamburg fährt um sieben Uhr abends ab. Fahrräder werden nicht mitgenommen."),
    ("pain.md", "fr", "Le pain de seigle demande du temps et un four chaud."),
    ("tren.md", "es", "El tren sale a las siete. <script>window.hacked = 1</script> <b>no</b>"),
    ("brood.md", "nl", "Roggebrood heeft tijd nodig en een hete oven."),
    ("pane.md", "it", "Il pane di segale vuole tempo e un forno caldo."),
    ("peixe.md", "pt", "O peixe nada no rio e o barco espera no porto."),
)


@pytest.fixture(scope="module")
def sites(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two exports of a collection with the default model, the second with one document more."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    if not PLAYWRIGHT.exists():
        pytest.skip("no Playwright: make browser")
    if not (DEFAULT_BUNDLE / "manifest.json").exists():
        pytest.skip(f"no default bundle in {DEFAULT_BUNDLE}")
    folder = tmp_path_factory.mktemp("browser")
    with Collection(folder / "notes.lt", DEFAULT_BUNDLE) as collection:
        for number, (path, language, text) in enumerate(PASSAGES):
            metadata = {"path": path, "line": number, "lang": language, "url": f"page.html#{number}"}
            if language == "es":
                metadata["url"] = "javascript:window.hacked = 1"
            collection.add([f"{path}#{number}"], [text], [metadata], show_progress_bar=False)
        write_site(collection, folder / "site", title="Notes <1>", assets=assets)
        collection.add(["new"], ["Whales sing at night, and sleep upright."], show_progress_bar=False)
        write_site(collection, folder / "update", title="Notes <1>", assets=assets)
    return folder


def test_in_a_browser(sites: Path, node: str, tmp_path: Path) -> None:
    kept = os.environ.get("LATELITE_SCREENSHOTS")  # where to keep them, to be looked at
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", "--test-timeout=300000", str(HERE / "browser.test.mjs")],
        capture_output=True,
        text=True,
        timeout=540,
        env={
            **os.environ,
            "SITES": str(sites),
            "PROFILES": str(tmp_path),
            "PYTHON": sys.executable,
            "PLAYWRIGHT": PLAYWRIGHT.as_uri(),
            "CHROMIUM": str(CHROMIUM),
            "SCREENSHOTS": kept or str(tmp_path),
        },
    )
    failed = re.findall(r"^not ok .*?(?=^(?:not )?ok |\Z)", done.stdout, re.DOTALL | re.MULTILINE)
    assert done.returncode == 0, "\n".join(failed)[:8000] + done.stderr
    assert re.search(r"^# fail 0$", done.stdout, re.MULTILINE)
    assert re.search(r"^# pass [1-9]", done.stdout, re.MULTILINE)
