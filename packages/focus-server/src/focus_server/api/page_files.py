"""What LiveView is made of, each file at an address that its content names, so that no browser asks for it twice."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from focus_server.api.page_limits import page_limits

__all__ = ["PageFile", "PageFiles"]

_FOLDER: Final = Path(str(files("focus_server") / "web"))
_PAGE: Final = "index.html"
_ENTRY: Final = "main.js"
_KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_NAMED: Final = re.compile(r'\b(href|src)="([\w.]+)"')
_IMPORTED: Final = re.compile(r'\bfrom "\./([\w.]+)";')


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is sent."""

    content: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The page, and what it loads from `folder`, a path relative to the page's that is another for other files.

    The page asks for all modules at once: each names only the next ones, so that a browser that went by the imports
    would wait once for each step of the way.
    """

    page: bytes
    tag: str
    folder: str
    files: Mapping[str, PageFile]

    @classmethod
    def read(cls, web: Path = _FOLDER) -> "PageFiles":
        """Take in the files as they are now; a server shows those that it began with."""
        found = {path.name: path.read_bytes() for path in web.iterdir() if path.suffix in _KINDS}
        found["limits.js"] = page_limits().encode()
        folder = f"assets/{_digest(*(part for name in sorted(found) for part in (name.encode(), found[name])))}"
        page = _page((web / _PAGE).read_text(), folder, found).encode()
        kept = {name: PageFile(content, _KINDS[Path(name).suffix]) for name, content in found.items()}
        return cls(page, f'"{_digest(page)}"', folder, kept)


def _page(text: str, folder: str, found: Mapping[str, bytes]) -> str:
    """Write down where each file lies, and which modules will be asked for."""
    text = _NAMED.sub(lambda link: f'{link[1]}="{folder}/{link[2]}"' if link[2] in found else link[0], text)
    links = (f'  <link rel="modulepreload" href="{folder}/{name}">\n' for name in _modules(found) if name != _ENTRY)
    return text.replace("</head>", "".join(links) + "</head>", 1)


def _modules(found: Mapping[str, bytes]) -> Iterator[str]:
    """Give the entry and all that it imports, what is nearer first."""
    known = [_ENTRY]
    for name in known:
        yield name
        known += [other for other in _IMPORTED.findall(found[name].decode()) if other not in known]


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(b"%d:" % len(part) + part)
    return whole.hexdigest()[:16]
