// One chart: its view, axes and curves. Interaction is in pointer.js.

const MARGIN = { left: 52, right: 12, top: 12, bottom: 22 };
const SVG = "http://www.w3.org/2000/svg";

/** Creates an SVG element with attributes. */
function svg(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
}

/** Creates an HTML element with properties. Text is set as text, never parsed. */
function element(name, properties, parent) {
  const made = Object.assign(document.createElement(name), properties);
  if (parent) parent.append(made);
  return made;
}

class Chart {
  /** `spec` is a chart of the page's numbers; `shared` holds the common state of all charts: axis, smoothing, best. */
  constructor(spec, shared, parent) {
    this.spec = spec;
    this.shared = shared;
    this.log = false;
    /** Horizontal range in view; null for all. */
    this.zoom = null;
    /** Position of the cursor on the horizontal axis; null for none. */
    this.cursor = null;
    this.shown = spec.series.map((series) => !series.hidden);
    this.figure = element("figure", { className: "chart" }, parent);
    this.figure.dataset.chart = spec.id;
    this.caption = element("figcaption", { textContent: spec.title }, this.figure);
    this.svg = svg("svg", { role: "img", tabindex: "0", "aria-label": this.summary() }, this.figure);
    this.values = element("div", { className: "values" }, this.figure);
    this.values.setAttribute("aria-live", "polite");
    this.legend = element("div", { className: "keys-of" }, this.figure);
  }

  /** Describes the chart for screen readers. */
  summary() {
    const last = (series) => `${series.label} ${words(series.y.findLast((value) => value !== null))}`;
    const some = this.spec.series.filter((series) => !series.hidden).slice(0, 6).map(last);
    return `${this.spec.title}; last values: ${some.join(", ")}. Arrow keys read values, plus and minus zoom.`;
  }

  /** Returns the visible curves with their points. */
  curves() {
    const { axis, smoothing } = this.shared;
    return this.spec.series.filter((_, index) => this.shown[index]).map((series) => ({
      series, x: series[axis], raw: series.y, y: smoothing > 0 ? smooth(series.y, smoothing) : series.y,
    }));
  }

  /** Returns the whole horizontal range of the visible curves. */
  extent() {
    const all = this.curves();
    const least = Math.min(...all.map(({ x }) => x[0]));
    const most = Math.max(...all.map(({ x }) => x[x.length - 1]));
    if (!(least <= most)) return [0, 1];
    return least === most ? [least - 0.5, most + 0.5] : [least, most];
  }

  /** Returns the vertical range of the points in view. */
  heights(from, to) {
    let [least, most] = [Infinity, -Infinity];
    for (const { x, y, raw } of this.curves()) {
      for (const values of y === raw ? [raw] : [y, raw]) {
        values.forEach((value, index) => {
          if (value === null || x[index] < from || x[index] > to || (this.log && value <= 0)) return;
          least = Math.min(least, value);
          most = Math.max(most, value);
        });
      }
    }
    if (least > most) return this.log ? [0.1, 1] : [0, 1];
    // Smoothing changes the last bits of a constant.
    const flat = most - least <= 1e-9 * Math.abs(most);
    if (this.log) return flat ? [least / 2, most * 2] : [least / 1.08, most * 1.08];
    const room = flat ? Math.abs(least) * 0.1 || 0.5 : (most - least) * 0.06;
    // No room below zero if no value is negative.
    return [least >= 0 ? Math.max(0, least - room) : least - room, most + room];
  }

  draw() {
    const width = Math.max(this.svg.clientWidth, 120);
    const height = Math.max(this.svg.clientHeight, 100);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [from, to] = this.zoom || this.extent();
    const [low, high] = this.heights(from, to);
    this.x = makeScale(from, to, MARGIN.left, width - MARGIN.right, false);
    this.y = makeScale(low, high, height - MARGIN.bottom, MARGIN.top, this.log);
    this.size = { width, height };
    this.svg.replaceChildren();
    this.drawAxes();
    const clip = `clip-${this.spec.id}`;
    const inner = { x: MARGIN.left, y: 0, width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.bottom + 1 };
    svg("rect", inner, svg("clipPath", { id: clip }, this.svg));
    this.plot = svg("g", { "clip-path": `url(#${clip})` }, this.svg);
    this.drawBest();
    for (const curve of this.curves()) this.drawCurve(curve);
    this.over = svg("g", {}, this.svg);
    this.svg.dataset.from = from;
    this.svg.dataset.to = to;
  }

  drawAxes() {
    const { width, height } = this.size;
    const bottom = height - MARGIN.bottom;
    for (const value of ticks(this.y, 5, false)) {
      const y = this.y.place(value);
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }, this.svg);
      svg("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, this.svg).textContent = tickWords(value);
    }
    const steps = this.shared.axis === "step";
    const marks = ticks(this.x, Math.max(2, Math.floor(width / 90)), this.x.most - this.x.least > 3 || steps);
    for (const value of marks) {
      const x = this.x.place(value);
      svg("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }, this.svg);
      // Keep the last label inside the chart.
      const end = x > width - 30;
      const at = { x: end ? width - 2 : x, y: bottom + 16, "text-anchor": end ? "end" : "middle" };
      svg("text", at, this.svg).textContent = tickWords(value);
    }
    svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }, this.svg);
  }

  drawBest() {
    const { best, axis } = this.shared;
    if (!best || !this.spec.marked) return;
    const x = this.x.place(best[axis]);
    svg("line", { class: "best", x1: x, x2: x, y1: 0, y2: this.size.height - MARGIN.bottom }, this.plot);
    const left = x > this.size.width / 2;
    const at = { x: left ? x - 4 : x + 4, y: 9, "text-anchor": left ? "end" : "start" };
    svg("text", at, this.plot).textContent = `best: epoch ${best.epoch}`;
  }

  drawCurve({ series, x, y, raw }) {
    const look = `curve dash${series.dash % 4}${series.thin ? " thin" : ""}`;
    if (y !== raw) this.drawLine(x, raw, "curve raw", series);
    this.drawLine(x, y, look, series);
  }

  drawLine(x, y, look, series) {
    const style = `--color: var(--s${series.color % 7})`;
    const { parts, alone, lost } = this.lines(x, y);
    svg("path", { class: look, d: parts.join(""), style }, this.plot);
    for (const [cx, cy] of alone) svg("circle", { class: "dot", cx, cy, r: 3, style }, this.plot);
    const bottom = this.size.height - MARGIN.bottom;
    for (const at of lost) {
      const d = `M${at - 3},${bottom - 8}l6,6m0,-6l-6,6`;
      svg("title", {}, svg("path", { class: "lost", d, style }, this.plot)).textContent = "not finite";
    }
  }

  /** Returns the segments between gaps, the isolated points, and the places of values that were not finite. */
  lines(x, y) {
    const [parts, alone, lost] = [[], [], []];
    let run = [];
    const close = () => {
      if (run.length === 1) alone.push(run[0]);
      else if (run.length) parts.push("M" + run.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join("L"));
      run = [];
    };
    y.forEach((value, index) => {
      const place = this.x.place(x[index]);
      if (value === null) lost.push(place);
      if (value === null || (this.log && value <= 0)) close();
      else run.push([place, this.y.place(value)]);
    });
    close();
    return { parts, alone, lost };
  }
}

