"""MkDocs hook that gives the site its pages and figures by their repository paths.

MkDocs reads one folder. The site also holds the READMEs of the root, of agents' folders
and of the pretrained models, and the benchmarks' results, which link to each other by
relative paths.
"""

from __future__ import annotations

import pathlib

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

_PATTERNS = (
    "README.md",
    "LICENSE",
    "docs/**/*.*",
    "agents/*/README.md",
    "pretrained/README.md",
    "benchmarks/results/**/*.png",
)


@event_priority(100)  # before the plugin that adds the API's pages
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Replaces the files of `docs_dir` with those of the repository."""
    del files
    root = pathlib.Path(config.config_file_path).parent
    paths = sorted(path for pattern in _PATTERNS for path in root.glob(pattern))
    return Files(
        [
            File(
                path.relative_to(root).as_posix(),
                src_dir=str(root),
                dest_dir=config.site_dir,
                use_directory_urls=config.use_directory_urls,
            )
            for path in paths
        ]
    )
