// Tables: sorting by a column, and the content of the confusion matrix's cells.

/** Sorts by a column on a click on its heading; the next click reverses the order. Cells without a value come last. */
function addSorting(table) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const numbers = heading.classList.contains("n");
      const before = heading.getAttribute("aria-sort");
      // Numbers start with the greatest, names with the first.
      const first = numbers ? "descending" : "ascending";
      const second = numbers ? "ascending" : "descending";
      const order = before === first ? second : first;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const value = (row) => row.cells[column].dataset.value;
      const compare = (a, b) => (numbers ? Number(a) - Number(b) : a.localeCompare(b));
      const rows = [...body.rows].sort((a, b) => {
        if (value(a) === "" || value(b) === "") return Number(value(a) === "") - Number(value(b) === "");
        return order === "ascending" ? compare(value(a), value(b)) : compare(value(b), value(a));
      });
      body.append(...rows);
    });
  });
}

function addMatrix(figure) {
  const table = figure.querySelector("table");
  const readout = figure.querySelector(".readout");
  const tell = (event) => {
    const cell = event.target.closest("td[data-count]");
    if (cell) readout.textContent = cell.title;
  };
  table.addEventListener("pointerover", tell);
  table.addEventListener("focusin", tell);
  figure.addEventListener("change", (event) => {
    for (const cell of table.querySelectorAll("td[data-count]")) cell.textContent = cell.dataset[event.target.value];
  });
}

