// On a telephone the cells of a row stand one below the other (see custom.css): each says its column.
// Tables of numbers stay as they are: they are narrow, or move in a box of their own.
document.addEventListener("DOMContentLoaded", () => {
  const isNumber = (cell) => /^[-+.\d*%\s]*$/.test(cell.textContent);
  for (const table of document.querySelectorAll(".bd-article table.table")) {
    const heads = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const cells = [...table.querySelectorAll("tbody td:not(:first-child)")];
    const isList = table.classList.contains("autosummary"); // has no heads
    if (!isList && (heads.length < 2 || heads.length > 4 || cells.every(isNumber))) continue;
    table.classList.add("stacked");
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.children].forEach((cell, i) => {
        cell.dataset.column = heads[i] ?? "";
        cell.classList.toggle("blank", !cell.textContent.trim());
      });
    }
  }
});
