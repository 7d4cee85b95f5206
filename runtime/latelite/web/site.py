"""The files of the site around a collection: page, library, third-party code, service worker, web manifest."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import latelite
from latelite.bundle import Bundle
from latelite.errors import WebExportError
from latelite.files import atomic_write
from latelite.web.assets import ONNXRUNTIME, TOKENIZERS
from latelite.web.stored import DATA, STORED_NAME

INDEX = "collection.json"
FORMAT = "latelite-web"
FORMAT_VERSION = 2
_WORKER = "service-worker.js"
_THEME = "#1f5f8b"
_ICONS = {"icon-192.png": "192x192", "icon-512.png": "512x512", "icon-maskable.png": "512x512"}
"""The page's icon for systems that take no SVG, and their sizes; the last fills its square, to be cut to any shape."""


def library_folder() -> Path:
    """Where the JavaScript library lies: beside the package in the sources, inside it when it is installed."""
    package = Path(latelite.__file__).parent
    for folder in (package / "web" / "library", package.parent / "web"):
        if (folder / "latelite.js").is_file():
            return folder
    raise WebExportError("this installation lacks the JavaScript library; install latelite again.")


def check_target(folder: Path) -> None:
    """Raise WebExportError when ``folder`` holds something else than an earlier export."""
    if not folder.exists() or _is_unfinished(folder):
        return
    try:
        known = json.loads((folder / INDEX).read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        known = False
    if not known:
        raise WebExportError(f"{folder} is not empty and holds no export of latelite; choose another folder.")


def _is_unfinished(folder: Path) -> bool:
    """Whether there is nothing, or only what an export has stored that was interrupted."""
    if any(path.name != DATA for path in folder.iterdir()):
        return False
    return all(STORED_NAME.fullmatch(path.name) for path in (folder / DATA).glob("*"))


def shell(assets: Path, title: str) -> dict[str, bytes]:
    """Path below the site's folder -> content, of all that a visit needs but the collection."""
    library = library_folder()
    page = Path(latelite.__file__).parent / "serve" / "page"
    files = {
        path.relative_to(library).as_posix(): path.read_bytes()
        for path in [*sorted(library.glob("*.js")), *sorted((library / "lib").glob("*.js"))]
    }
    files["lib/third_party.js"] = (library / "site" / "third_party.js").read_bytes()
    for path in sorted(page.iterdir()):
        if path.name == "index.html":
            files[path.name] = _index(path.read_text(encoding="utf-8"), title).encode()
        elif path.suffix in (".js", ".css", ".svg"):
            files[f"page/{path.name}"] = path.read_bytes()
    files["page/backend.js"] = (library / "site" / "backend.js").read_bytes()
    for icon in _ICONS:
        files[f"page/{icon}"] = (library / "site" / icon).read_bytes()
    # Named .js: not every file server knows what .mjs is, and browsers run no script of an unknown kind.
    for package, folder in ((ONNXRUNTIME, "onnxruntime-web"), (TOKENIZERS, "tokenizers")):
        for name in package.files:
            if name.endswith(".mjs"):
                content = (assets / package.name / name).read_bytes()
                files[f"third_party/{folder}/{Path(name).stem}.js"] = content
    files["third_party/onnxruntime-web/LICENSE"] = (library / "licences" / "onnxruntime-web.txt").read_bytes()
    files["third_party/tokenizers/LICENSE"] = (assets / TOKENIZERS.name / "LICENSE").read_bytes()
    files["manifest.webmanifest"] = _manifest(title).encode()
    files["package.json"] = b'{"type": "module", "private": true}\n'  # for Node
    files[_WORKER] = _service_worker((library / "site" / _WORKER).read_text(encoding="utf-8"), files).encode()
    return files


def wasm(assets: Path) -> bytes:
    """ONNX Runtime, compiled for browsers."""
    return (assets / ONNXRUNTIME.name / "dist" / "ort-wasm-simd-threaded.wasm").read_bytes()


def visited_bytes(files: Mapping[str, bytes]) -> int:
    """Bytes of those files of the shell that a visit fetches: the service worker keeps them all."""
    return sum(len(content) for name, content in files.items() if _is_visited(name))


def _is_visited(name: str) -> bool:
    return not name.endswith(("LICENSE", "package.json"))


def write_shell(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put the files in their places, each at once."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(content)


def remove_leftovers(folder: Path, kept: set[str]) -> None:
    """Delete what an earlier export stored and this one does not need."""
    for path in (folder / DATA).iterdir():
        if f"{DATA}/{path.name}" not in kept and path.is_file():
            path.unlink()


def _index(html: str, title: str) -> str:
    """The served page as the page of an app that is on its own."""
    head = (
        '<link rel="manifest" href="manifest.webmanifest">\n'
        f'<meta name="theme-color" content="{_THEME}">\n'
        '<link rel="apple-touch-icon" href="page/icon-maskable.png">\n</head>'
    )
    html, changed = re.subn("</head>", head, html, count=1)
    html = re.sub(r"<title>.*?</title>", lambda _: f"<title>{_escaped(title)}</title>", html, count=1)
    html = re.sub(
        r"<noscript>.*?</noscript>", "<noscript>This page needs JavaScript.</noscript>", html, flags=re.DOTALL
    )
    if not changed:
        raise WebExportError("the search page has no head; install latelite again.")
    return html


def _manifest(title: str) -> str:
    content = {
        "name": title,
        "short_name": title[:20],
        "id": "./",
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "background_color": "#ffffff",
        "theme_color": _THEME,
        "icons": [
            {"src": "page/icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"},
            *(
                {
                    "src": f"page/{name}",
                    "sizes": size,
                    "type": "image/png",
                    "purpose": "maskable" if "maskable" in name else "any",
                }
                for name, size in _ICONS.items()
            ),
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _service_worker(template: str, files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    needed = sorted(filter(_is_visited, files))
    return template.replace('"@VERSION@"', json.dumps(digest.hexdigest()[:16])).replace(
        '["@FILES@"]', json.dumps(needed, indent=2)
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def copy_licenses(folder: Path, bundle: Bundle) -> None:
    """The licences of the model, where its bundle has one, and of latelite itself, where the installation has it."""
    if bundle.licence is not None:
        shutil.copyfile(bundle.licence, folder / "MODEL-LICENSE")
    for source in (library_folder().parent.parent / "LICENSE", library_folder() / "LICENSE"):
        if source.is_file():
            shutil.copyfile(source, folder / "LICENSE")
            return
