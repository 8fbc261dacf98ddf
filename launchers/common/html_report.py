"""Report of results: one HTML file that holds everything and opens offline."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import Any

import imageio.v2 as imageio

from launchers.common import atomic_files

_TEMPLATE = pathlib.Path(__file__).with_name("html_report.html")
# Most bytes of videos in a report; further videos are named, not embedded.
VIDEO_BYTES = 12_000_000


@dataclasses.dataclass
class Section:
    """A heading and the blocks under it, in order."""

    title: str
    blocks: list[str] = dataclasses.field(default_factory=list)
    video_bytes: int = 0

    def text(self, text: str) -> None:
        """Adds a paragraph."""
        self.blocks.append(f"<p>{html.escape(text)}</p>")

    def note(self, text: str) -> None:
        """Adds a paragraph in small print."""
        self.blocks.append(f'<p class="note">{html.escape(text)}</p>')

    def table(self, rows: Sequence[Sequence[str]], words: Sequence[int] = ()) -> None:
        """Adds a table, heading first; `words` are the columns that hold text."""

        def line(tag: str, row: Sequence[str]) -> str:
            cells = (
                f"<{tag}{_WORDS if i in words else ''}>{html.escape(str(cell))}</{tag}>"
                for i, cell in enumerate(row)
            )
            return f"<tr>{''.join(cells)}</tr>"

        head, *rest = rows
        body = "\n".join(line("td", row) for row in rest)
        self.blocks.append(
            f'<div class="scroll"><table>\n<thead>{line("th", head)}</thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>"
        )

    def picture(self, path: pathlib.Path, caption: str) -> None:
        """Adds the picture of a PNG file."""
        source = _data_uri(path, "image/png")
        text = html.escape(caption)
        self.blocks.append(
            f'<figure><img src="{source}" alt="{text}">'
            f"<figcaption>{text}</figcaption></figure>"
        )

    def videos(self, paths: Mapping[str, pathlib.Path]) -> None:
        """Adds MP4 files by their captions, up to `VIDEO_BYTES`."""
        shown = []
        for caption, path in paths.items():
            text, size = html.escape(caption), path.stat().st_size
            if self.video_bytes + size > VIDEO_BYTES:
                self.note(f"{caption}: not embedded for its size, see {path.name}")
                continue
            self.video_bytes += size
            shown.append(
                f'<figure><video controls loop muted poster="{_poster(path)}" '
                f'src="{_data_uri(path, "video/mp4")}"></video>'
                f"<figcaption>{text}</figcaption></figure>"
            )
        self.blocks.append(f'<div class="videos">{"".join(shown)}</div>')

    def details(self, title: str, content: Any) -> None:
        """Adds JSON, folded."""
        text = html.escape(json.dumps(content, indent=1, default=str))
        self.blocks.append(
            f"<details><summary>{html.escape(title)}</summary>"
            f"<pre>{text}</pre></details>"
        )


_WORDS = ' class="words"'


def write(
    path: pathlib.Path, title: str, subtitle: str, sections: Sequence[Section]
) -> None:
    """Writes the report."""
    links, parts = [], []
    for number, section in enumerate(sections):
        name, anchor = html.escape(section.title), f"section-{number}"
        links.append(f'<a href="#{anchor}">{name}</a>')
        parts += [f'<h2 id="{anchor}">{name}</h2>', *section.blocks]
    text = string.Template(_TEMPLATE.read_text()).substitute(
        title=html.escape(title),
        subtitle=html.escape(subtitle),
        contents="\n".join(links),
        body="\n".join(parts),
    )
    atomic_files.write_text(path, text)


def _data_uri(path: pathlib.Path, kind: str) -> str:
    return data_uri(path.read_bytes(), kind)


def _poster(video: pathlib.Path) -> str:
    """Encodes the first frame, as browsers show nothing before a video plays."""
    with imageio.get_reader(video) as reader:
        frame = imageio.imwrite("<bytes>", reader.get_data(0), format="jpeg")
    return data_uri(frame, "image/jpeg")


def data_uri(content: bytes, kind: str) -> str:
    """Encodes content of a MIME type for an attribute of a page."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
