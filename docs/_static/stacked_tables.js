// On a telephone the cells of a row stand one below the other (see custom.css): each says its column.
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".bd-article table.table")) {
    const heads = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    if (heads.length < 2 || heads.length > 4) continue;
    table.classList.add("stacked");
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.children].forEach((cell, i) => (cell.dataset.column = heads[i] ?? ""));
    }
  }
});
