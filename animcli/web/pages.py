"""The packaged files of the page, under names that say what is in them.

A name holds the digest of the content, so a browser may keep it for ever. Modules import
one another by plain names, which are replaced here.
"""

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

INDEX_PAGE: Final = "index.html"
TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
REFERENCE: Final = re.compile(rb"""(["'])(?:\./|/static/)([a-z-]+)\.(js|css)\1""")


@dataclass
class Pages:
    """Every file of a folder, read once."""

    folder: "Traversable"
    _served: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)
    _index: bytes = b""

    def __post_init__(self) -> None:
        texts = {
            each.name: each.read_bytes()
            for each in self.folder.iterdir()
            if each.name.rpartition(".")[2] in TYPES
        }
        # A module's name depends on those that it imports: one digest for all of them.
        whole = hashlib.sha256(b"\0".join(texts[name] for name in sorted(texts)))
        mark = whole.hexdigest()[:12]
        for name, text in texts.items():
            stem, _, suffix = name.rpartition(".")
            text = REFERENCE.sub(
                lambda found: (
                    found[1] + b"/static/" + found[2] + b"-" + mark.encode()
                    + b"." + found[3] + found[1]
                ),
                text,
            )  # fmt: skip
            if name == INDEX_PAGE:
                self._index = text
            else:
                self._served[f"{stem}-{mark}.{suffix}"] = (text, TYPES[suffix])
        # All modules are asked for at once, and not one layer of imports after the other.
        links = "".join(
            f'<link rel="modulepreload" fetchpriority="low" href="/static/{name}">\n'
            for name in sorted(self._served)
            if name.endswith(".js")
        )
        self._index = self._index.replace(b"<script", links.encode() + b"<script", 1)

    @property
    def weight(self) -> int:
        """Bytes of all files together."""
        return len(self._index) + sum(len(text) for text, _ in self._served.values())

    def index(self) -> Response:
        """The page itself, asked for each time."""
        headers = {"cache-control": "no-cache"}
        return Response(self._index, headers=headers, media_type=TYPES["html"])

    def file(self, name: str) -> Response:
        """A file by its name; nothing else is found."""
        if name not in self._served:
            return Response(status_code=404)
        text, kind = self._served[name]
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(text, headers=headers, media_type=kind)
