// Interaction with a chart: hovering, zooming and toggling curves, by pointer and by keyboard.

/** Returns the index of the point nearest to `at` in the ascending `x`. */
function nearest(x, at) {
  let [low, high] = [0, x.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (x[middle] < at) low = middle;
    else high = middle;
  }
  return Math.abs(x[low] - at) <= Math.abs(x[high] - at) ? low : high;
}

/** Moves the cursor to the point nearest to `at`, and shows the values of all curves there. */
function showValues(chart, at) {
  const curves = chart.curves();
  const [from, to] = [chart.x.least, chart.x.most];
  const inView = curves.map((curve) => curve.x[nearest(curve.x, Math.min(to, Math.max(from, at)))]);
  const target = inView.reduce((a, b) => (Math.abs(b - at) < Math.abs(a - at) ? b : a), Infinity);
  chart.over.replaceChildren();
  chart.values.replaceChildren();
  chart.cursor = Number.isFinite(target) ? target : null;
  if (chart.cursor === null) return;
  const place = chart.x.place(target);
  svg("line", { class: "cursor", x1: place, x2: place, y1: MARGIN.top, y2: chart.size.height - MARGIN.bottom }, chart.over);
  const axis = chart.shared.axis;
  element("div", { textContent: `${axis} ${words(target).replace(/\.0+$/, "")}` }, chart.values);
  for (const { series, x, y } of curves) {
    const index = nearest(x, target);
    // A curve that ends before this position has no value here.
    const apart = x.length > 1 ? (x[x.length - 1] - x[0]) / (x.length - 1) : 0.5;
    if (Math.abs(x[index] - target) > apart) continue;
    const row = element("div", {}, chart.values);
    row.append(keyOf(series));
    element("span", { textContent: series.label }, row);
    element("b", { textContent: words(y[index]) }, row);
    if (y[index] === null || (chart.log && y[index] <= 0)) continue;
    const dot = { class: "dot", cx: chart.x.place(x[index]), cy: chart.y.place(y[index]), r: 3.5 };
    svg("circle", { ...dot, style: `--color: var(--s${series.color % 7})` }, chart.over);
  }
  // Next to the cursor, on the side that has room.
  const wide = chart.values.offsetWidth;
  const left = place + 12 + wide > chart.size.width ? place - 12 - wide : place + 12;
  chart.values.style.left = `${Math.max(0, left)}px`;
  const above = chart.svg.getBoundingClientRect().top - chart.figure.getBoundingClientRect().top;
  chart.values.style.top = `${above + MARGIN.top}px`;
}

function hideValues(chart) {
  chart.cursor = null;
  chart.over.replaceChildren();
  chart.values.replaceChildren();
}

function zoomTo(chart, range) {
  const [low, high] = chart.extent();
  // Beyond this zoom, floating-point numbers run out of digits.
  if (range && range[1] - range[0] < 1e-6 * (high - low)) return;
  chart.zoom = range;
  chart.reset.hidden = !range;
  hideValues(chart);
  chart.draw();
}

/** Returns a short line in the style of a curve. */
function keyOf(series) {
  const key = svg("svg", { class: "key", viewBox: "0 0 22 8", "aria-hidden": "true" });
  const look = `curve dash${series.dash % 4}${series.thin ? " thin" : ""}`;
  svg("path", { class: look, d: "M1,4L21,4", style: `--color: var(--s${series.color % 7})` }, key);
  return key;
}

/** Creates the buttons above the chart, and the legend below it. */
function addTools(chart) {
  if (chart.spec.log) {
    const log = element("button", { type: "button", className: "tool", textContent: "log" }, chart.caption);
    log.setAttribute("aria-pressed", "false");
    log.title = "Logarithmic axis";
    log.addEventListener("click", () => {
      chart.log = !chart.log;
      log.setAttribute("aria-pressed", String(chart.log));
      chart.draw();
    });
  }
  chart.reset = element("button", { type: "button", className: "tool", textContent: "whole range", hidden: true }, chart.caption);
  chart.reset.addEventListener("click", () => zoomTo(chart, null));
  chart.spec.series.forEach((series, index) => {
    const button = element("button", { type: "button" }, chart.legend);
    button.append(keyOf(series), series.label);
    button.setAttribute("aria-pressed", String(chart.shown[index]));
    button.addEventListener("click", () => {
      chart.shown[index] = !chart.shown[index];
      button.setAttribute("aria-pressed", String(chart.shown[index]));
      hideValues(chart);
      chart.draw();
    });
  });
}

/** Handles hovering, dragging to zoom, and double-clicking to reset. */
function addPointer(chart) {
  let start = null;
  const at = (event) => {
    const inside = event.clientX - chart.svg.getBoundingClientRect().left;
    return Math.min(chart.size.width - MARGIN.right, Math.max(MARGIN.left, inside));
  };
  chart.svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = at(event);
    // A synthetic event has no pointer to capture.
    if (event.isTrusted) chart.svg.setPointerCapture(event.pointerId);
  });
  chart.svg.addEventListener("pointermove", (event) => {
    const now = at(event);
    showValues(chart, chart.x.value(now));
    if (start === null) return;
    const [left, right] = [Math.min(start, now), Math.max(start, now)];
    const bottom = chart.size.height - MARGIN.bottom;
    svg("rect", { class: "selection", x: left, width: right - left, y: MARGIN.top, height: bottom - MARGIN.top }, chart.over);
  });
  chart.svg.addEventListener("pointerup", (event) => {
    const [from, to] = [start, at(event)];
    start = null;
    if (from === null || Math.abs(to - from) < 6) return;
    zoomTo(chart, [chart.x.value(Math.min(from, to)), chart.x.value(Math.max(from, to))]);
  });
  chart.svg.addEventListener("pointercancel", () => { start = null; });
  chart.svg.addEventListener("pointerleave", () => { if (start === null) hideValues(chart); });
  chart.svg.addEventListener("dblclick", () => zoomTo(chart, null));
}

function addKeyboard(chart) {
  const move = (way) => {
    const points = [...new Set(chart.curves().flatMap(({ x }) => x))].sort((a, b) => a - b);
    const seen = points.filter((x) => x >= chart.x.least && x <= chart.x.most);
    if (!seen.length) return;
    const now = chart.cursor === null ? (way > 0 ? -1 : seen.length) : nearest(seen, chart.cursor);
    showValues(chart, seen[Math.min(seen.length - 1, Math.max(0, now + way))]);
  };
  const zoom = (factor) => {
    const [low, high] = chart.extent();
    const middle = chart.cursor ?? (chart.x.least + chart.x.most) / 2;
    const from = Math.max(low, middle - (middle - chart.x.least) * factor);
    const to = Math.min(high, middle + (chart.x.most - middle) * factor);
    zoomTo(chart, from <= low && to >= high ? null : [from, to]);
  };
  const keys = {
    ArrowLeft: () => move(-1), ArrowRight: () => move(1),
    Home: () => showValues(chart, chart.x.least), End: () => showValues(chart, chart.x.most),
    "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
    Escape: () => zoomTo(chart, null),
  };
  chart.svg.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!act) return;
    act();
    event.preventDefault();
  });
  chart.svg.addEventListener("blur", () => hideValues(chart));
}

