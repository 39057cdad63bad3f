#!/usr/bin/env python3
"""Writes the bundle that Claude Desktop installs: scripts/bundle.py FOLDER. Prints its path.

It is a zip file of our source, the manifest and the icon; the same sources give the same bytes. Standard library only.
"""

from __future__ import annotations

import json
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "manifest.json": "bundle/manifest.json",
    "icon.png": ".claude-plugin/icon.png",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "LICENSE": "LICENSE",
}
FOLDERS = ("mcp_orchestrator", "memory/orchestrator_memory", "agents", "skills")


def parts() -> Iterator[tuple[str, Path]]:
    """Yield the names in the bundle and the files that they are."""
    for name, source in FILES.items():
        yield name, ROOT / source
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            name = path.relative_to(ROOT)
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.parts):
                yield name.as_posix(), path


def main() -> None:
    """Write the bundle."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the script and its argument
        sys.exit(__doc__)
    manifest = json.loads((ROOT / FILES["manifest.json"]).read_text("utf-8"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if manifest["version"] != version:
        sys.exit(f"bundle/manifest.json has version {manifest['version']}, pyproject.toml {version}: make them equal.")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{manifest['name']}-*.mcpb"):
        old.unlink()
    whole = folder / f"{manifest['name']}-{version}.mcpb"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in parts():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, path.read_bytes())
    print(whole)  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
