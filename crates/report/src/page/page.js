// Sets up the page. Everything that needs no script is in place before this runs.

const numbers = JSON.parse(document.getElementById("numbers").textContent);

function addTheme() {
  document.getElementById("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  });
}

function addCharts() {
  const parent = document.getElementById("charts");
  if (!parent) return;
  const { charts: specs, best, steps } = numbers.charts;
  const shared = { axis: steps ? "step" : "epoch", smoothing: 0, best };
  const charts = specs.map((spec) => new Chart(spec, shared, parent));
  for (const chart of charts) {
    for (const add of [addTools, addPointer, addKeyboard]) add(chart);
    chart.draw();
  }
  for (const choice of document.querySelectorAll("input[name=axis]")) {
    choice.addEventListener("change", () => {
      shared.axis = choice.value;
      // A range of epochs is not a range of steps.
      charts.forEach((chart) => zoomTo(chart, null));
    });
  }
  const smoothing = document.getElementById("smoothing");
  smoothing.addEventListener("input", () => {
    shared.smoothing = Number(smoothing.value);
    document.querySelector("output[for=smoothing]").textContent = smoothing.value;
    charts.forEach((chart) => { hideValues(chart); chart.draw(); });
  });
  let width = parent.clientWidth;
  new ResizeObserver(() => {
    if (parent.clientWidth === width) return;
    width = parent.clientWidth;
    charts.forEach((chart) => { hideValues(chart); chart.draw(); });
  }).observe(parent);
}

addTheme();
addCharts();
addGallery(numbers);
document.querySelectorAll("table.sortable").forEach(addSorting);
document.querySelectorAll("figure.matrix").forEach(addMatrix);
root.dataset.ready = "true";
