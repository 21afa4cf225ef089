"""Tables as Markdown for people and CSV for programs."""

import argparse
import csv
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).with_name("results")


class Table:
    """Rows of text under a title.

    Parameters
    ----------
    title : str
    columns : sequence of str
    """

    def __init__(self, title: str, columns):
        self.title = title
        self.columns = tuple(columns)
        self.rows: list[tuple[str, ...]] = []
        self.notes: list[str] = []

    def add(self, *cells: str) -> None:
        """Append a row.

        Parameters
        ----------
        *cells : str
            One per column.

        Raises
        ------
        ValueError
            If there are more or fewer cells than columns.
        """
        if len(cells) != len(self.columns):
            raise ValueError(
                f"{len(cells)} cells for the {len(self.columns)} columns {self.columns}"
            )
        self.rows.append(cells)

    def note(self, text: str) -> None:
        """Add a sentence below the table."""
        self.notes.append(text)

    def markdown(self) -> str:
        """Markdown, the columns padded so that the source reads well too."""
        parts = [f"## {self.title}"]
        if self.rows:
            grid = [self.columns, *self.rows]
            widths = [max(len(row[i]) for row in grid) for i in range(len(self.columns))]
            lines = [_line(row, widths) for row in grid]
            lines.insert(1, _line(["-" * width for width in widths], widths))
            parts.append("\n".join(lines))
        return "\n\n".join([*parts, *self.notes])


def _line(cells, widths):
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def mean(grid: np.ndarray) -> np.ndarray:
    """Mean over the rows; NaN where one of them is, so that no mean is over fewer sets."""
    return np.asarray(grid).mean(axis=0)


def cells(values, form: str) -> list[str]:
    """Numbers as text, nothing for those that are not known.

    Parameters
    ----------
    values : iterable of float
    form : str
        Format, such as ``"+.3f"``.

    Returns
    -------
    list of str
    """
    return ["" if np.isnan(value) else f"{value:{form}}" for value in values]


def mean_and_spread(values) -> str:
    """Mean of samples and, of several, their standard deviation; nothing of none.

    Parameters
    ----------
    values : sequence of float

    Returns
    -------
    str
    """
    if not values:
        return ""
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def holds(value: float, least: float) -> str:
    """Whether a bar is held: ``"yes"``, ``"NO"``, or nothing where the value is not known."""
    if np.isnan(value):
        return ""
    return "yes" if value >= least else "NO"


def command_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Parser of the command of a study, ``python -m benchmarks.NAME``, with its folder ``--out``.

    Parameters
    ----------
    name : str
        The module.
    description : str
        What `--help` says.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=description)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the tables")
    return parser


def write(folder: Path, name: str, title: str, header, tables) -> Path:
    """Write ``name.md`` and ``name.csv``.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    name : str
        Of the files, without ending.
    title : str
        First line of the Markdown.
    header : sequence of str
        Lines below it that say where the figures come from.
    tables : sequence of Table
        The CSV has their rows in one, each with its table's title first.

    Returns
    -------
    Path
        The Markdown file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = [f"# {title}", "\n".join(header), *(table.markdown() for table in tables)]
    path = folder / f"{name}.md"
    path.write_text("\n\n".join(parts) + "\n")
    with (folder / f"{name}.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        columns = None
        for table in tables:
            if table.columns != columns:
                rows.writerow(["table", *table.columns])
                columns = table.columns
            rows.writerows([table.title, *row] for row in table.rows)
    return path
