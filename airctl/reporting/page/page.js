"use strict";
// Everything is made with createElement, textContent and setAttribute: no text of a run is ever read as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const PAGE = 36; // scenes of the gallery at a time
const byId = (id) => document.getElementById(id);
const colour = (step) => data.colours[step % data.colours.length];
const percent = (share) => (100 * share).toFixed(2) + "%";

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function drawn(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function rectangle([x0, y0, x1, y1], attributes) {
  return drawn("rect", { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), ...attributes });
}

// A picture with boxes over it: those of the steps in their colours, the true ones dashed.
function tile(png, alt, side = 1, boxes = [], trueBoxes = []) {
  const picture = make("img", { src: "data:image/png;base64," + png, alt });
  const over = drawn("svg", { viewBox: `0 0 ${side} ${side}`, "aria-hidden": "true" });
  for (const box of trueBoxes) over.append(rectangle(box, { class: "true" }));
  boxes.forEach((box, step) => over.append(rectangle(box, { stroke: colour(step) })));
  return make("span", { class: "tile" }, picture, over);
}

function scene(shown, words) {
  const caption = make("figcaption");
  const count = make("b", {}, `found ${shown.found}`);
  if (shown.found !== shown.true) count.className = "wrong";
  caption.append(count, ` of ${shown.true}`, words ? make("br") : "", words);
  return make("figure", { class: "scene" },
    tile(shown.image, `scene with ${shown.true} objects`, shown.side, shown.boxes, shown.true_boxes),
    tile(shown.drawn, `reconstruction with ${shown.found} steps`, shown.side, shown.boxes),
    caption);
}

// --- the same scenes over training ---
function nowAt(chart, step) {
  const { left, right, top, bottom, low, high } = chart.dataset;
  const x = Number(left) + ((step - low) / (high - low)) * (right - left);
  const line = chart.querySelector(".now") || chart.appendChild(drawn("line", { class: "now" }));
  for (const [key, value] of Object.entries({ x1: x, x2: x, y1: top, y2: bottom })) line.setAttribute(key, value);
}

function overTraining() {
  const slider = byId("step");
  if (!slider) return;
  const steps = [...new Set(data.runs.flatMap((run) => run.frames.map((frame) => frame.step)))].sort((a, b) => a - b);
  const places = data.runs.map((run) => {
    const tiles = make("div", { class: "tiles hide-true" });
    if (data.runs.length > 1) byId("frames").append(make("h3", {}, run.name));
    byId("frames").append(run.frames.length ? tiles : make("p", {}, "This run kept no frames."));
    return tiles;
  });
  const most = Math.max(0, ...data.runs.flatMap((r) => r.frames.flatMap((f) => f.scenes.map((s) => s.found))));
  if (most) byId("legend").append("glimpses:");
  for (let step = 0; step < most; step++) {
    const key = drawn("svg", { viewBox: "0 0 10 10" });
    key.append(drawn("rect", { x: 1, y: 1, width: 8, height: 8, fill: "none", stroke: colour(step), "stroke-width": 2 }));
    byId("legend").append(make("span", {}, key, `step ${step + 1}`));
  }
  slider.max = steps.length - 1;
  function show() {
    const step = steps[slider.value];
    const told = [];
    data.runs.forEach((run, index) => {
      const frame = run.frames.filter((each) => each.step <= step).pop();
      if (!frame) return;
      const rows = frame.scenes.map((row, i) => scene({ ...run.watched[i], ...row }, ""));
      places[index].replaceChildren(...rows);
      const parts = [];
      if (frame.elbo !== null) parts.push(`ELBO ${frame.elbo.toFixed(1)}`);
      if (frame.accuracy !== null) parts.push(`count accuracy ${percent(frame.accuracy)}`);
      const late = frame.step < step ? ` (its last frame, at step ${frame.step})` : "";
      if (parts.length) told.push((data.runs.length > 1 ? `${run.name}${late}: ` : "") + parts.join(", "));
    });
    byId("at").textContent = `step ${step.toLocaleString("en").replaceAll(",", "\u202f")}` + (told.length ? " · " + told.join(" · ") : "");
    slider.setAttribute("aria-valuetext", `step ${step}`);
    for (const chart of document.querySelectorAll(".over-training svg")) nowAt(chart, step);
  }
  let playing = null;
  function stop() {
    clearInterval(playing);
    playing = null;
    byId("play").textContent = "Play";
  }
  byId("play").addEventListener("click", () => {
    if (playing) return stop();
    if (Number(slider.value) === steps.length - 1) slider.value = 0;
    byId("play").textContent = "Stop";
    show();
    playing = setInterval(() => {
      slider.value = Number(slider.value) + 1;
      show();
      if (Number(slider.value) === steps.length - 1) stop();
    }, 700);
  });
  slider.addEventListener("input", () => { stop(); show(); });
  slider.value = steps.length - 1;
  show();
}

// --- the gallery and its filters ---
const filter = { run: null, outcome: null, cell: null, most: PAGE };

function chip(parent, text, small, key, value) {
  const button = make("button", { type: "button" }, text);
  if (small) button.append(make("small", {}, small));
  button.addEventListener("click", () => {
    filter[key] = value;
    filter.cell = null;
    refresh();
  });
  button.refresh = () => button.setAttribute("aria-pressed", String(filter[key] === value));
  parent.append(button);
}

function gallery() {
  if (byId("by-run")) {
    chip(byId("by-run"), "all runs", "", "run", null);
    data.runs.forEach((run, index) => chip(byId("by-run"), run.name, "", "run", index));
  }
  const wrong = data.runs.length === 1 ? percent(1 - (data.runs[0].outcomes.right ?? 0)) : "";
  chip(byId("by-outcome"), "all failures", wrong, "outcome", null);
  for (const name of Object.keys(data.labels)) {
    const share = data.runs.length === 1 ? percent(data.runs[0].outcomes[name] ?? 0) : "";
    chip(byId("by-outcome"), data.labels[name], share, "outcome", name);
  }
  byId("true-boxes").addEventListener("change", (event) => {
    byId("gallery").classList.toggle("hide-true", !event.target.checked);
  });
  byId("more").addEventListener("click", () => { filter.most += PAGE; refresh(true); });
  byId("cell").addEventListener("click", () => { filter.cell = null; refresh(); });
  for (const button of document.querySelectorAll(".confusion button")) {
    button.addEventListener("click", () => {
      const { run, true: counted, found } = button.dataset;
      filter.cell = { run: Number(run), true: Number(counted), found: Number(found) };
      refresh();
      byId("scenes").scrollIntoView();
    });
  }
  refresh();
}

function refresh(more = false) {
  if (!more) filter.most = PAGE;
  const cell = filter.cell;
  const all = data.runs.flatMap((run, index) => run.gallery.map((shown) => ({ ...shown, run: index })));
  const kept = all.filter((shown) => cell
    ? shown.run === cell.run && shown.true === cell.true && shown.found === cell.found
    : (filter.run === null || shown.run === filter.run) &&
      (filter.outcome === null ? shown.outcome !== "right" : shown.outcome === filter.outcome));
  const runs = data.runs.filter((_, index) => cell ? index === cell.run : filter.run === null || filter.run === index);
  const inAll = cell ? runs[0].confusion[cell.true][cell.found] : runs.reduce((sum, run) => sum + Math.round(run.scenes *
    (filter.outcome === null ? 1 - (run.outcomes.right ?? 0) : run.outcomes[filter.outcome] ?? 0)), 0);
  const names = (shown) => (data.runs.length > 1 ? data.runs[shown.run].name + ", " : "") + `scene ${shown.scene}`;
  byId("gallery").replaceChildren(...kept.slice(0, filter.most).map((shown) => {
    const card = scene(shown, filter.outcome === null || cell ? data.labels[shown.outcome] : "");
    card.title = `${names(shown)}: ${data.labels[shown.outcome]}`;
    card.dataset.outcome = shown.outcome;
    card.dataset.counts = `${shown.true} ${shown.found}`;
    return card;
  }));
  byId("shown").textContent = `${Math.min(kept.length, filter.most)} shown, ${kept.length} kept, ${inAll} in all`;
  byId("more").hidden = kept.length <= filter.most;
  byId("cell").hidden = !cell;
  if (cell) byId("cell").textContent = `true ${cell.true}, inferred ${cell.found} ✕`;
  for (const button of document.querySelectorAll("#by-run button, #by-outcome button")) {
    button.refresh();
    if (cell) button.setAttribute("aria-pressed", "false");
  }
}

// --- what the model sees and draws ---
function drawing() {
  if (!data.glimpses) return;
  const groups = make("div", { class: "groups" });
  for (const shown of data.glimpses) {
    const group = make("div", {}, tile(shown.image, "scene", shown.side, shown.boxes));
    shown.steps.forEach((step, index) => {
      const pair = make("div", { class: "pair" },
        tile(step.glimpse, `glimpse of step ${index + 1}`), tile(step.object, `reconstruction of step ${index + 1}`));
      for (const part of pair.children) part.style.borderColor = colour(index);
      group.append(pair);
    });
    groups.append(group);
  }
  byId("glimpses").append(groups);
  data.prior.forEach((row, index) => {
    const name = index ? `${index + 1} objects` : "1 object";
    byId("prior").append(make("div", { class: "row" }, make("span", {}, name), ...row.map((png) => tile(png, name))));
  });
  for (const row of data.traversal.rows) {
    const tiles = row.objects.map((png, i) => tile(png, `z_what[${row.number}] = ${data.traversal.values[i]}`));
    byId("traversal").append(make("div", { class: "row" }, make("span", {}, `z_what[${row.number}]`), ...tiles));
  }
}

// --- values of the charts ---
function hovering(svg) {
  const marks = JSON.parse(svg.dataset.marks);
  const spot = drawn("circle", { class: "spot", r: 6 });
  let at = -1;
  function show(index) {
    at = index;
    const [x, y, text] = marks[at];
    spot.setAttribute("cx", x);
    spot.setAttribute("cy", y);
    svg.append(spot);
    const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    const tip = byId("tip");
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = `${Math.max(4, Math.min(place.x + 12, innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${place.y - tip.offsetHeight - 12 > 4 ? place.y - tip.offsetHeight - 12 : place.y + 14}px`;
  }
  function hide() {
    spot.remove();
    byId("tip").hidden = true;
  }
  function nearest(event) {
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const far = (index) => Math.hypot(marks[index][0] - x, marks[index][1] - y);
    const best = marks.reduce((found, _, index) => (far(index) < far(found) ? index : found), 0);
    return far(best) < 60 ? best : -1;
  }
  function point(event) {
    const index = nearest(event);
    if (index < 0) hide(); else show(index);
  }
  if (!marks.length) return;
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") hide();
    if (!by) return;
    event.preventDefault();
    show((at + by + marks.length) % marks.length);
  });
}

// --- a button that copies a command ---
function selectAndCopy(pre) {
  const range = document.createRange();
  range.selectNodeContents(pre);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  return document.execCommand("copy");
}

async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return "Copied";
  } catch { // no clipboard, or no permission for it
    return selectAndCopy(pre) ? "Copied" : "Selected";
  }
}

function copyButton(block) {
  const pre = block.querySelector("pre");
  const button = make("button", { type: "button", class: "copy" }, "Copy");
  button.addEventListener("click", async () => {
    button.textContent = await copy(pre);
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.append(button);
}

// --- what can be scrolled sideways says so ---
function sideways(box) {
  const wide = box.querySelector(".wide");
  function look() {
    const hidden = wide.scrollWidth - wide.clientWidth;
    box.classList.toggle("more-left", wide.scrollLeft > 1);
    box.classList.toggle("more-right", wide.scrollLeft < hidden - 1);
    if (hidden > 1) wide.tabIndex = 0; else wide.removeAttribute("tabindex");
  }
  wide.addEventListener("scroll", look, { passive: true });
  const observer = new ResizeObserver(look);
  observer.observe(wide);
  for (const child of wide.children) observer.observe(child);
}

overTraining();
gallery();
drawing();
document.querySelectorAll("svg.chart").forEach(hovering);
document.querySelectorAll(".command").forEach(copyButton);
document.querySelectorAll(".sideways").forEach(sideways);
