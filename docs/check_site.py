"""Look at the built site as a browser does: pages on a telephone, and what the search finds.

Usage, after ``make docs DOCS_ARGS=-E`` (a build that reads changed pages alone leaves the index
entries of the others out of the search)::

    pip install playwright && playwright install chromium
    python docs/check_site.py                    # both checks
    python docs/check_site.py --shots FOLDER     # pictures of the pages as well
    python docs/check_site.py --browser PATH     # a Chromium that is installed already

No page may scroll sideways at 390 pixels, and nothing in it may be cut. At 1280 pixels tables,
formulas and code fit into their boxes as well. For each term that people search for, the page that
answers is among the first three hits. Ends with status 1 otherwise.
"""

import argparse
import contextlib
import functools
import http.server
import sys
import threading
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import sync_playwright

WIDTHS = (390, 1280)
HTML = Path(__file__).parent / "_build" / "html"

# What people type, and pages that answer it; a page is its path without ".html".
ANSWERS = {
    "save a model": {"user_guide/serving", "getting_started"},
    "tags": {"user_guide/tags", "getting_started"},
    "MultiLabelBinarizer": {"user_guide/tags", "user_guide/questions"},
    "progress bar": {
        "user_guide/long_trainings",
        "user_guide/questions",
        "generated/sklearn_mlce.progress_bar",
    },
    "stratified split": {"user_guide/splits"},
    "class weights": {"user_guide/rare_labels", "user_guide/questions"},
    "threshold": {"user_guide/tuned_thresholds"},
    "calibrated probabilities": {"user_guide/probabilities"},
    "top words": {"user_guide/explain", "user_guide/tags"},
    "ONNX": {"user_guide/serving"},
    "GPU": {"user_guide/large_data", "user_guide/questions", "installation"},
    "OneVsRest": {"user_guide/coming_from_scikit_learn"},
    "LibMultiLabel": {"user_guide/coming_from"},
    "missing labels": {"user_guide/unknown_and_soft_labels"},
    "out of memory": {"user_guide/large_data", "user_guide/questions"},
    "resume": {"user_guide/long_trainings"},
    "SHAP": {"user_guide/explain", "user_guide/other_tools"},
    "optuna": {"user_guide/questions", "user_guide/other_tools"},
    "multi-output": {"user_guide/several_outputs"},
    "soft labels": {"user_guide/unknown_and_soft_labels"},
}

# Things that reach beyond the window, and are not inside a box that scrolls by itself. On a wide
# window, tables, formulas and code that scroll in their boxes too, and names of neighbouring pages.
CUT = """() => {
  const scrolls = (e) => ["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX);
  const inBox = (e) => {
    for (let p = e.parentElement; !p.matches(".bd-article"); p = p.parentElement)
      if (scrolls(p)) return true;
    return false;
  };
  const found = [];
  for (const e of document.querySelectorAll(".bd-article *")) {
    const box = e.getBoundingClientRect();
    if (box.width && box.right > window.innerWidth + 1 && !inBox(e) && !scrolls(e))
      found.push(e.tagName.toLowerCase() + " " + (e.textContent || e.src).trim().slice(0, 40));
  }
  const wider = (e, box) => e.scrollWidth > box.clientWidth + 1;
  if (window.innerWidth > 600) {
    for (const e of document.querySelectorAll(".bd-article table.table"))
      if (wider(e, e.parentElement)) found.push("table " + e.textContent.trim().slice(0, 40));
    for (const e of document.querySelectorAll(".bd-article :is(div.math, pre)"))
      if (wider(e, e)) found.push(e.tagName + " " + e.textContent.trim().slice(0, 40));
  }
  for (const e of document.querySelectorAll(".prev-next-area a"))
    if (wider(e, e)) found.push("link " + e.textContent.trim().slice(0, 40));
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) found.unshift("the page: " + page.scrollWidth + " px");
  return found.slice(0, 4);
}"""


@contextlib.contextmanager
def served(folder):
    """Serve the folder on a free port of this machine, and give its address."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A server that does not log."""

    def log_message(self, *args):
        """Say nothing."""


def pages_of(folder, only):
    """Pages of the site that a person reads, as paths without ".html"."""
    paths = [
        p.relative_to(folder).as_posix()
        for p in sorted(folder.rglob("*.html"))
    ]
    skipped = ("genindex.html", "search.html", "py-modindex.html")
    names = [
        p.removesuffix(".html")
        for p in paths
        if p not in skipped and "/_" not in f"/{p}"
    ]
    return [
        name
        for name in names
        if not only or any(part in name for part in only)
    ]


def check_widths(browser, address, names, shots):
    """Return what is wrong with the width of pages, and draw them if `shots` is a folder."""
    faults = []
    for width in WIDTHS:
        for scheme in ("light", "dark") if shots else ("light",):
            page = browser.new_page(
                viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            for name in names:
                page.goto(f"{address}/{name}.html", wait_until="load")
                if scheme == "light":
                    faults += [
                        f"{name} at {width} px: {e}"
                        for e in page.evaluate(CUT)
                    ]
                if shots:
                    file = f"{name.replace('/', '_')}_{width}_{scheme}.png"
                    page.screenshot(path=str(shots / file), full_page=True)
            page.close()
    return faults


def check_search(browser, address):
    """Return the terms whose answer is not among the first three hits, with these hits."""
    faults = []
    page = browser.new_page()
    for term, answers in ANSWERS.items():
        page.goto(f"{address}/search.html?q={quote(term)}")
        page.wait_for_selector(
            "#search-results ul.search li a", timeout=15_000
        )
        page.wait_for_timeout(500)  # the hits come one after another
        links = page.eval_on_selector_all(
            "#search-results ul.search li > a",
            "es => es.map(e => e.getAttribute('href'))",
        )
        hits = [
            link.split("?")[0].split("#")[0].removesuffix(".html")
            for link in links[:3]
        ]
        if not answers & set(hits):
            faults.append(f"search {term!r}: {', '.join(hits)}")
    page.close()
    return faults


def main():
    """Run the checks and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--html", type=Path, default=HTML)
    parser.add_argument(
        "--browser", help="path of a Chromium; default: the one of playwright"
    )
    parser.add_argument(
        "--shots", type=Path, help="folder for pictures of the pages"
    )
    parser.add_argument("--only", nargs="*", help="parts of names of pages")
    arguments = parser.parse_args()
    if arguments.shots:
        arguments.shots.mkdir(parents=True, exist_ok=True)
    names = pages_of(arguments.html, arguments.only)
    with served(arguments.html) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=arguments.browser, args=["--no-sandbox"]
        )
        faults = check_widths(browser, address, names, arguments.shots)
        if not arguments.only:
            faults += check_search(browser, address)
        browser.close()
    searches = 0 if arguments.only else len(ANSWERS)
    print(
        "\n".join(faults)
        or f"{len(names)} pages and {searches} searches are fine"
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
