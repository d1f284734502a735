// Scales of axes, their ticks, the formatting of numbers, and smoothing.

/** Returns a scale from `[least, most]` to pixels `[from, to]`, linear or logarithmic. */
function makeScale(least, most, from, to, log) {
  const forward = log ? Math.log10 : (value) => value;
  const back = log ? (value) => 10 ** value : (value) => value;
  const [low, high] = [forward(least), forward(most)];
  return {
    least, most, log,
    place: (value) => from + ((forward(value) - low) / (high - low)) * (to - from),
    value: (place) => back(low + ((place - from) / (to - from)) * (high - low)),
  };
}

/** Returns about `count` round numbers, 1, 2 or 5 times a power of ten apart. `whole` excludes fractions. */
function ticks(scale, count, whole) {
  if (scale.log && scale.most / scale.least >= 4) return logTicks(scale, count);
  const rough = (scale.most - scale.least) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find((times) => times * power >= rough) * power;
  if (whole) step = Math.max(1, Math.round(step));
  const first = Math.ceil(scale.least / step - 1e-9);
  const length = Math.max(0, Math.floor(scale.most / step + 1e-9) - first + 1);
  // Round the product: 3 * 0.1 is not 0.3.
  return Array.from({ length }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function logTicks(scale, count) {
  const decades = Math.log10(scale.most / scale.least);
  const factors = decades <= 1.5 ? [1, 2, 5] : [1];
  const apart = Math.max(1, Math.ceil(decades / count));
  const found = [];
  for (let power = Math.floor(Math.log10(scale.least)); power <= Math.log10(scale.most); power += apart) {
    for (const factor of factors) {
      const value = Number((factor * 10 ** power).toPrecision(12));
      if (value >= scale.least && value <= scale.most) found.push(value);
    }
  }
  return found;
}

/** Formats a number with its significant digits: 0.6188, 1.20e-5, 12,345. */
function words(value) {
  if (value === null || Number.isNaN(value)) return "not finite";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e7) return value.toExponential(2);
  if (size >= 1000) return value.toLocaleString("en", { maximumFractionDigits: 0 });
  return value.toPrecision(4);
}

/** Formats the number of a tick, with no more digits than it needs. */
function tickWords(value) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e6)) return value.toExponential().replace("e+", "e");
  return value.toLocaleString("en", { maximumFractionDigits: 6 });
}

/** Returns the exponential moving average, normalised at the start; `weight` 0 changes nothing. A gap starts anew. */
function smooth(values, weight) {
  let [sum, mass] = [0, 0];
  return values.map((value) => {
    if (value === null) {
      [sum, mass] = [0, 0];
      return null;
    }
    sum = sum * weight + value;
    mass = mass * weight + 1;
    return sum / mass;
  });
}

