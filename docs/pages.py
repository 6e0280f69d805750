"""The site's pages that lie elsewhere in the repository, and their links (a hook of mkdocs.yml)."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
ELSEWHERE = {  # file of the repository -> page of the site
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "data/README.md": "data.md",
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from elsewhere."""
    for source, page in ELSEWHERE.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Turn links between files of the repository into links between pages, or into links to the repository."""
    sources = {name: source for source, name in ELSEWHERE.items()}
    folder = posixpath.dirname(sources.get(page.file.src_uri, f"docs/{page.file.src_uri}"))

    def on_site(link: re.Match[str]) -> str:
        path, hash_, anchor = link[1].partition("#")
        if not path or ":" in path:
            return link[0]
        target = posixpath.normpath(posixpath.join(folder, path))
        if target in ELSEWHERE:
            path = ELSEWHERE[target]
        elif target.startswith("docs/"):
            path = target.removeprefix("docs/")
        else:
            path = f"{config.extra['source']}/blob/main/{target}"
        return f"]({path}{hash_}{anchor})"

    return re.sub(r"\]\(([^)\s]+)\)", on_site, markdown)
