"""The search page: its weight, and what a browser does with it (`page.test.mjs`, by Chromium and Playwright)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import latelite.serve
from conftest import DEFAULT_BUNDLE
from latelite import Collection
from served import TOKEN, serving

HERE = Path(__file__).parent
PAGE = Path(latelite.serve.__file__).parent / "page"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PASSAGES = {
    "files.md": (
        "en",
        ["files"],
        [
            "Delete a whole directory tree: shutil.rmtree removes a folder and everything that is in it. There is no "
            "way back, so look twice before you run it.",
            "Create a temporary file that disappears when it is closed. The module picks a safe name and a folder.",
            "🚚 Move boxes, files or directories to another location: across file systems they are copied first.",
            "Copy a file together with its permissions and its time of last change.",
        ],
    ),
    "bahn.md": (
        "de",
        ["travel", "night"],
        [
            "Der Nachtzug nach Hamburg fährt um sieben Uhr abends ab.",
            "Fahrräder werden nicht mitgenommen.",
        ],
    ),
    "hilfe.md": ("de", ["files"], ["Ein Verzeichnis wird mit allem, was darin ist, endgültig entfernt."]),
    "pain.md": (
        "fr",
        ["food"],
        ["Le pain de seigle demande du temps et un four chaud.", "Laissez lever la pâte."],
    ),
    "tren.md": ("es", ["travel"], ["El tren sale a las siete. <script>window.hacked = 1</script> <b>no</b>"]),
    "brood.md": ("nl", ["food"], ["Roggebrood heeft tijd nodig en een hete oven."]),
    "timetable.md": (
        "en",
        ["travel"],
        ["The night train to Hamburg leaves at seven in the evening."],
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Passages in five languages, in a collection with the default model."""
    if not DEFAULT_BUNDLE.exists():
        pytest.skip(f"no default bundle in {DEFAULT_BUNDLE}")
    folder = tmp_path_factory.mktemp("page") / "notes.lt"
    with Collection(folder, DEFAULT_BUNDLE) as collection:
        for path, (lang, tags, texts) in PASSAGES.items():
            collection.add(
                [f"{path}#{number}" for number in range(len(texts))],
                texts,
                [{"path": path, "line": 4 * number + 1, "lang": lang, "tags": tags} for number in range(len(texts))],
                show_progress_bar=False,
            )
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    if shutil.which("node") is None or not (HERE / "node_modules" / "playwright-core").exists():
        pytest.skip("no Playwright: npm ci --prefix tests/web")
    with serving(folder) as address:
        yield address


def test_the_page_is_small_and_fetches_nothing_from_elsewhere() -> None:
    files = {file.name: file.read_text() for file in PAGE.iterdir()}
    assert sum(len(text.encode()) for text in files.values()) <= 60_000
    for name, text in files.items():
        links = re.findall(r"https?://[^\s\"'<>]+", text)
        assert set(links) <= {"http://www.w3.org/2000/svg"}, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", text), name
        assert " style=" not in text, name  # the policy would block it
        assert not re.search(r"<script(?![^>]* src=)", text), name


def test_every_language_says_everything() -> None:
    text = (PAGE / "messages.js").read_text()
    blocks = re.findall(r"^  (\w\w): \{(.*?)^  \},", text, re.DOTALL | re.MULTILINE)
    assert [code for code, _ in blocks] == ["en", "de", "es", "fr", "it", "nl", "pt"]
    keys = {code: sorted(re.findall(r"(?:^|[,{] ?|^ +)(\w+): [\"\[]", block, re.MULTILINE)) for code, block in blocks}
    assert all(names == keys["en"] for names in keys.values())
    used = set(re.findall(r'(?:message|counted)\("(\w+)"', "".join(f.read_text() for f in PAGE.glob("*.js"))))
    used |= set(re.findall(r'data-text="(\w+)"', (PAGE / "index.html").read_text()))
    assert used <= set(keys["en"])


def test_in_a_browser(address: str, tmp_path: Path) -> None:
    kept = os.environ.get("LATELITE_SCREENSHOTS")  # where to keep them, to be looked at
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", "--test-timeout=300000", str(HERE / "page.test.mjs")],
        capture_output=True,
        text=True,
        timeout=400,
        env={**os.environ, "ADDRESS": address, "CHROMIUM": str(CHROMIUM), "SCREENSHOTS": kept or str(tmp_path)},
    )
    failed = re.findall(r"^not ok .*?(?=^(?:not )?ok |\Z)", done.stdout, re.DOTALL | re.MULTILINE)
    assert done.returncode == 0, "\n".join(failed)[:8000] + done.stderr
    assert re.search(r"^# fail 0$", done.stdout, re.MULTILINE)


def test_a_page_with_a_token(folder: Path, address: str, tmp_path: Path) -> None:
    script = """
import { chromium } from "playwright-core";
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const page = await (await browser.newContext({ locale: "en" })).newPage();
await page.goto(process.env.ADDRESS + "/?q=train");
await page.waitForSelector("#token-dialog[open]");
await page.fill("#token", process.env.TOKEN);
await page.keyboard.press("Enter");
await page.waitForSelector("#hits mark");
const second = await (await browser.newContext({ locale: "en" })).newPage();
await second.goto(process.env.ADDRESS + "/?q=train#token=" + process.env.TOKEN);
await second.waitForSelector("#hits mark");
if (second.url().includes(process.env.TOKEN)) throw new Error("the token stays in the address");
await browser.close();
"""
    with serving(folder, "--host", "0.0.0.0", environment={"LATELITE_TOKEN": TOKEN}) as own:
        own = own.replace("0.0.0.0", "127.0.0.1")
        done = subprocess.run(
            ["node", "--input-type=module", "-e", script],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=HERE,
            env={
                **os.environ,
                "ADDRESS": own.replace("0.0.0.0", "127.0.0.1"),
                "CHROMIUM": str(CHROMIUM),
                "TOKEN": TOKEN,
            },
        )
    assert done.returncode == 0, done.stderr
