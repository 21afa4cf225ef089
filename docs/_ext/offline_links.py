"""Let intersphinx link to other projects' manuals without asking the network.

Intersphinx usually downloads each project's whole inventory. The few entries that these pages
need stand in a text file instead; the inventories are written from it before each build.
"""

import zlib
from pathlib import Path

_HEADER = "# Sphinx inventory version 2\n# Project: {name}\n# Version: \n# The remainder is zlib.\n"


def write_inventories(links, folder):
    """Write one inventory per project that the text file names.

    Parameters
    ----------
    links : pathlib.Path
        Text file. A line ``[name] address`` opens a project; each line after it reads
        ``object domain:role page``. Empty lines and lines that start with ``#`` are skipped.
    folder : pathlib.Path
        Where the inventories go; made if it is not there.

    Returns
    -------
    intersphinx_mapping : dict
        Maps each project to its address and its inventory's path, as intersphinx takes it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for name, address, entries in _read_projects(links):
        path = folder / f"{name}.inv"
        body = "".join(f"{entry}\n" for entry in entries).encode()
        path.write_bytes(
            _HEADER.format(name=name).encode() + zlib.compress(body)
        )
        mapping[name] = (address, str(path))
    return mapping


def _read_projects(links):
    """Read the text file into (name, address, inventory lines) triples."""
    projects = []
    for line in Path(links).read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("["):
            projects.append((words[0].strip("[]"), words[1], []))
        else:
            target, role, page = words
            projects[-1][2].append(f"{target} {role} 1 {page} -")
    return projects
