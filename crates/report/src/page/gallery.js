// Targets, predictions and errors, drawn over their inputs.

const IGNORED = 255;
const WRONG = [213, 94, 0];

/** Decodes a mask from its runs: a class id, then a varint length, seven bits a byte, lowest first. See picture.rs. */
function decodeRuns(text, pixels) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const mask = new Uint8Array(pixels);
  let [from, place] = [0, 0];
  while (place < bytes.length) {
    const id = bytes[place++];
    let [length, shift, more] = [0, 0, true];
    while (more) {
      length |= (bytes[place] & 0x7f) << shift;
      shift += 7;
      more = bytes[place++] >= 0x80;
    }
    mask.fill(id, from, from + length);
    from += length;
  }
  return mask;
}

/** Returns true if the class of a pixel differs from that to its right or below it. */
function onEdge(mask, index, width) {
  const right = (index + 1) % width !== 0 && mask[index + 1] !== mask[index];
  const below = index + width < mask.length && mask[index + width] !== mask[index];
  return right || below;
}

/** Returns the fill of a pixel, RGB; null for none. */
function fillOf(fill, target, prediction, colors) {
  if (fill === "errors") return target !== IGNORED && target !== prediction ? WRONG : null;
  if (fill === "target") return colors[target] ?? null;
  return fill === "prediction" ? colors[prediction] ?? null : null;
}

class Overlay {
  constructor(canvas, sample, colors) {
    this.canvas = canvas;
    this.width = sample.width;
    this.height = sample.height;
    this.target = decodeRuns(sample.target, sample.width * sample.height);
    this.prediction = decodeRuns(sample.prediction, sample.width * sample.height);
    this.colors = colors;
  }

  draw({ fill, outline, opacity }) {
    const context = this.canvas.getContext("2d");
    const image = context.createImageData(this.width, this.height);
    for (let index = 0; index < this.target.length; index++) {
      const target = this.target[index];
      let [color, alpha] = [fillOf(fill, target, this.prediction[index], this.colors), opacity];
      if (outline && onEdge(this.target, index, this.width)) [color, alpha] = [[255, 255, 255], 0.9];
      // Ignored pixels are striped in every view of the target.
      const stripe = (index % this.width + Math.floor(index / this.width)) % 6 < 2;
      if (!color && target === IGNORED && fill !== "none" && stripe) [color, alpha] = [[160, 160, 160], opacity];
      if (color) image.data.set([...color, Math.round(255 * alpha)], 4 * index);
    }
    context.putImageData(image, 0, 0);
    this.canvas.dataset.drawn = fill;
  }

  /** Describes target and prediction at a position of the canvas. */
  at(event, names) {
    const box = this.canvas.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * this.width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * this.height);
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return "";
    const name = (id) => (id === IGNORED ? "ignored" : names[id] ?? String(id));
    const index = y * this.width + x;
    return `target ${name(this.target[index])}, predicted ${name(this.prediction[index])}`;
  }
}

/** Sets up all predictions of the page, and the tools above them. */
function addGallery({ samples, colors, names }) {
  const tools = document.getElementById("gallery-tools");
  if (!tools) return;
  const overlays = [...document.querySelectorAll("canvas[data-sample]")].map((canvas) => {
    const overlay = new Overlay(canvas, samples[Number(canvas.dataset.sample)], colors);
    const figure = canvas.closest(".sample");
    const readout = figure.querySelector(".readout");
    canvas.addEventListener("pointermove", (event) => { readout.textContent = overlay.at(event, names); });
    canvas.addEventListener("pointerleave", () => { readout.textContent = ""; });
    const button = canvas.closest("button");
    button.addEventListener("click", () => {
      button.setAttribute("aria-expanded", String(figure.classList.toggle("large")));
    });
    return overlay;
  });
  const [opacity, outline, input] = ["opacity", "show-outline", "show-input"].map((id) => document.getElementById(id));
  const draw = () => {
    const fill = tools.querySelector("input[name=fill]:checked").value;
    tools.querySelector("output").textContent = opacity.value;
    document.getElementById("predictions").classList.toggle("no-input", !input.checked);
    for (const overlay of overlays) overlay.draw({ fill, outline: outline.checked, opacity: Number(opacity.value) });
  };
  tools.addEventListener("input", draw);
  draw();
}

