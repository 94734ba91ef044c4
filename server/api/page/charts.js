"use strict";
// Live figures from /metrics, as small charts.

const EVERY_MS = 2000;
const POINTS = 60;
const SVG = "http://www.w3.org/2000/svg";
const EMBEDDING_ROUTES = new Set(["/embed", "/", "/v1/embeddings", "/v2/embed", "/v1/embed", "/similarity"]);
const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

// Returns the samples of Prometheus' text format: name to a list of {labels, value}.
function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const match = SAMPLE.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((one) => [one[1], one[2]]));
    if (!samples.has(match[1])) samples.set(match[1], []);
    samples.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return samples;
}

const total = (samples, name) => (samples.get(name) ?? []).reduce((sum, one) => sum + one.value, 0);

// Returns the buckets of all embedding routes together: upper bound to count, in order.
function buckets(samples) {
  const counts = new Map();
  for (const { labels, value } of samples.get("embedding_request_seconds_bucket") ?? []) {
    if (!EMBEDDING_ROUTES.has(labels.route)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return [...counts].sort((one, other) => one[0] - other[0]);
}

// Returns a quantile of the requests between two scrapes, in seconds, interpolated within its bucket as Prometheus does.
function quantile(share, before, now) {
  const old = new Map(before);
  const fresh = now.map(([bound, count]) => [bound, count - (old.get(bound) ?? 0)]);
  const all = fresh.at(-1)?.[1] ?? 0;
  if (!all) return null;
  let low = 0, below = 0;
  for (const [bound, count] of fresh) {
    if (count >= share * all) {
      if (bound === Infinity) return low;
      return low + (bound - low) * ((share * all - below) / (count - below || 1));
    }
    [low, below] = [bound, count];
  }
  return low;
}

const CHARTS = [
  ["Texts a second", "", (change) => change.rate("embedding_inputs_total")],
  ["Tokens a second", "", (change) => change.rate("embedding_input_tokens_total")],
  ["Tokens in the queue", "", (change) => total(change.now, "embedding_queue_tokens")],
  ["Texts in a batch", "", (change) => change.mean("embedding_batch_texts")],
  ["Median answer", " ms", (change) => change.milliseconds(0.5)],
  ["99 % of answers within", " ms", (change) => change.milliseconds(0.99)],
];

class Change {
  constructor(before, now, seconds) {
    Object.assign(this, { before, now, seconds });
  }
  difference(name) {
    return Math.max(0, total(this.now, name) - total(this.before, name));
  }
  rate(name) {
    return this.difference(name) / this.seconds;
  }
  mean(name) {
    const count = this.difference(`${name}_count`);
    return count ? this.difference(`${name}_sum`) / count : null;
  }
  milliseconds(share) {
    const seconds = quantile(share, buckets(this.before), buckets(this.now));
    return seconds === null ? null : 1000 * seconds;
  }
}

// A figure with its last value and a line of the values before; null is a gap that the line bridges.
class Chart {
  constructor(title, unit, read) {
    Object.assign(this, { title, unit, read, values: [] });
    this.output = element("output", {}, "–");
    this.line = document.createElementNS(SVG, "polyline");
    this.image = document.createElementNS(SVG, "svg");
    this.image.setAttribute("viewBox", `0 0 ${POINTS - 1} 30`);
    this.image.setAttribute("preserveAspectRatio", "none");
    this.image.setAttribute("role", "img");
    this.image.append(this.line);
    this.figure = element("figure", {}, element("figcaption", {}, title), this.output, this.image);
  }
  add(change) {
    this.values = [...this.values, this.read(change)].slice(-POINTS);
    const last = this.values.at(-1);
    this.output.textContent = last === null ? "–" : `${last.toLocaleString("en", { maximumFractionDigits: 1 })}${this.unit}`;
    const top = Math.max(...this.values, 1e-9);
    const points = this.values.map((value, index) => [index + POINTS - this.values.length, value]);
    const drawn = points.filter(([, value]) => value !== null).map(([x, value]) => `${x},${29 - 28 * (value / top)}`);
    this.line.setAttribute("points", drawn.join(" "));
    this.image.setAttribute("aria-label", `${this.title}: now ${this.output.textContent}, at most ${top.toFixed(1)}${this.unit}`);
  }
}

function startCharts() {
  const charts = CHARTS.map((row) => new Chart(...row));
  get("charts").append(...charts.map((chart) => chart.figure));
  let before = null, paused = false, asking = false;
  get("pause").addEventListener("click", () => {
    paused = !paused;
    before = null;
    get("pause").setAttribute("aria-pressed", String(paused));
    get("pause").textContent = paused ? "Resume" : "Pause";
  });
  async function update() {
    if (paused || asking || document.hidden || !ready) return;
    asking = true;
    try {
      const now = { at: performance.now(), samples: parseMetrics(await (await fetchFrom("metrics")).text()) };
      if (before) {
        const change = new Change(before.samples, now.samples, (now.at - before.at) / 1000);
        charts.forEach((chart) => chart.add(change));
      }
      before = now;
    } catch {
      before = null; // a server that restarts is asked again
    } finally {
      asking = false;
    }
  }
  setInterval(update, EVERY_MS);
  return update;
}
