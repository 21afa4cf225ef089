"""Make pages of the tables that ``python -m benchmarks`` writes, before each build.

The tables stay where the benchmarks write them; the site shows them under ``benchmarks/``.
"""

import re
import shutil

INDEX = """\
# Benchmarks

Each page is a table as `python -m benchmarks` writes it, on public data, with the versions and the
processor on top. Compare methods within a page: times of two pages may come from two machines.

{parts}
```{{toctree}}
:hidden:

{names}
```
"""

# A page with a table of more columns has no list of its headings, and so more room.
MOST_COLUMNS = 10
WIDE = "---\nhtml_theme.sidebar_secondary.remove: true\n---\n\n"

# The pictures that benchmarks draw, each with what it shows.
PICTURES = {
    "growth": "Fit time and peak memory over rows, features and labels, by solver.",
    "linear": "Micro-F1 at the threshold zero over fit time, a panel for each set. "
    "The higher and the further left, the better.",
    "soak": "Memory of the process over 100,000 calls. "
    "The two lines of MLCEClassifier lie on each other.",
}

# The pages that readers of the guide ask for first; the rest are studies behind single defaults.
FIRST = (
    "linear",
    "tuned",
    "family",
    "network",
    "preparation",
    "calibrators",
    "decisions",
    "splits",
)


def write_benchmark_pages(results, folder):
    """Copy each table with its pictures into the documentation, and write an index of them.

    Parameters
    ----------
    results : pathlib.Path
        Folder of the tables, ``benchmarks/results``.
    folder : pathlib.Path
        Folder of the pages. A page that has no table any more is removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        path.stem: _with_title(path) for path in sorted(results.glob("*.md"))
    }
    for path in folder.glob("*.md"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        _write_if_new(folder / f"{name}.md", text)
    for picture in results.glob("*.png"):
        shutil.copy2(picture, folder)
    parts = [
        _part(
            "Most asked for", [name for name in FIRST if name in texts], texts
        ),
        _part(
            "Studies behind single choices",
            [n for n in texts if n not in FIRST],
            texts,
        ),
    ]
    index = INDEX.format(
        parts="\n".join(parts), names="\n".join(sorted(texts))
    )
    _write_if_new(folder / "index.md", index)


def _part(heading, names, texts):
    """One list of links, each with the title of its page."""
    rows = [f"- {{doc}}`{_title(texts[name])} <{name}>`" for name in names]
    return f"## {heading}\n\n" + "\n".join(rows) + "\n"


def _with_title(path):
    """Read a table, under its name where it begins without a title."""
    text = path.read_text(encoding="utf-8")
    title = path.stem.replace("_", " ").capitalize()
    text = text if text.startswith("# ") else f"# {title}\n\n{text}"
    if path.stem in PICTURES:
        text = text.replace("\n## ", f"\n{_figure(path.stem)}\n## ", 1)
    columns = max(line.count("|") - 1 for line in text.splitlines())
    return WIDE + text if columns > MOST_COLUMNS else text


def _figure(name):
    """Return the picture of a table, with its caption."""
    caption = PICTURES[name]
    return f"```{{figure}} {name}.png\n:alt: {caption}\n:width: 100%\n\n{caption}\n```\n"


def _title(text):
    """Return the first heading."""
    return re.search(r"^# (.+)$", text, flags=re.MULTILINE).group(1)


def _write_if_new(path, text):
    """Leave a page alone that has not changed, so that Sphinx need not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
