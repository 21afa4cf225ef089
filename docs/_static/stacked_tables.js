// On a telephone the cells of a row stand one below the other (see custom.css): each says its column.
// Tables of numbers, and of short words that fit, stay as they are. Wide tables of numbers move in a
// box of their own. On every screen, names break and letters shrink where a table would not fit.
document.addEventListener("DOMContentLoaded", () => {
  const isNumber = (cell) => /^[-+.\d*%\s]*$/.test(cell.textContent);
  const isShort = (cell) => cell.textContent.trim().length <= 24;
  const telephone = window.matchMedia("(max-width: 600px)");
  const heads = (table) =>
    [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
  const fits = (table) => table.scrollWidth <= table.parentElement.clientWidth;

  for (const cell of document.querySelectorAll(".bd-article table.table td")) {
    if (/^[\d.]+ (±|x) [\d.]+$/.test(cell.textContent.trim())) cell.classList.add("measured");
  }

  // A table that does not fit gets line breaks, then smaller letters. If that is not enough, the table
  // moves in its box, and says so.
  const shrink = () => {
    const sizes = ["dense", "denser", "densest"];
    for (const table of document.querySelectorAll(".bd-article table.table:not(.stacked)")) {
      if (!fits(table))
        table.querySelectorAll("tr > :not(:first-child)").forEach(window.breakNames);
      if (!fits(table)) window.breakNames(table);
      for (const size of sizes) if (!fits(table)) table.classList.add(size);
      if (fits(table)) continue;
      table.classList.remove(...sizes);
      table.classList.add("moves");
    }
  };

  const isStacked = (table) => {
    if (table.classList.contains("autosummary")) return true; // has no heads
    const columns = heads(table).length;
    const cells = [...table.querySelectorAll("tbody td:not(:first-child)")];
    if (columns < 2 || columns > 6 || cells.every(isNumber)) return false;
    return !(fits(table) && (columns > 4 || cells.every(isShort)));
  };

  const stack = () => {
    if (!telephone.matches) return; // the style acts on a telephone alone
    for (const table of document.querySelectorAll(".bd-article table.table:not(.stacked)")) {
      if (!isStacked(table)) continue;
      const names = heads(table);
      table.classList.add("stacked");
      for (const row of table.querySelectorAll("tbody tr")) {
        [...row.children].forEach((cell, i) => {
          cell.dataset.column = names[i] ?? "";
          cell.classList.toggle("blank", !cell.textContent.trim());
        });
      }
    }
  };
  stack();
  shrink();
  telephone.addEventListener("change", stack);
});
