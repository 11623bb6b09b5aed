"""Writes the description that a package index shows, when the package is built: README.md without what only works here.

An index shows one page by itself. The project has no public address that its links to docs/ and its picture could be
completed with, so a link becomes its text there, and a picture is left out.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PICTURE = re.compile(r"^!\[[^\]]*\]\((?!https?:)[^)]*\)\n+", re.MULTILINE)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#)[^)]*\)")


class Readme(MetadataHookInterface):
    """Called by hatchling."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the description to the package's metadata."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": described(text)}


def described(readme: str) -> str:
    """The text with no link and no picture that leads into the repository."""
    return LINK.sub(r"\1", PICTURE.sub("", readme))
