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

// --- Figure 1 ---
function figure1() {
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
  if (most) byId("legend").append("glimpses of");
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
      if (frame.accuracy !== null) parts.push(`counts right ${percent(frame.accuracy)}`);
      const late = frame.step < step ? ` (its last frame, step ${frame.step})` : "";
      if (parts.length) told.push((data.runs.length > 1 ? `${run.name}${late}: ` : "") + parts.join(", "));
    });
    byId("at").textContent = `step ${step.toLocaleString("en").replaceAll(",", "\u202f")}` + (told.length ? " · " + told.join(" · ") : "");
    slider.setAttribute("aria-valuetext", `step ${step}`);
    for (const chart of document.querySelectorAll("svg[data-last]")) {
      const { last, left, right } = chart.dataset;
      const x = Number(left) + (step / last) * (right - left);
      const line = chart.querySelector(".now");
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
    }
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
const chosen = { run: null, outcome: null, cell: null, most: PAGE };

function chip(parent, text, small, key, value) {
  const button = make("button", { type: "button" }, text);
  if (small) button.append(make("small", {}, small));
  button.addEventListener("click", () => {
    chosen[key] = value;
    chosen.cell = null;
    refresh();
  });
  button.refresh = () => button.setAttribute("aria-pressed", String(chosen[key] === value));
  parent.append(button);
}

function gallery() {
  if (byId("by-run")) {
    chip(byId("by-run"), "all runs", "", "run", null);
    data.runs.forEach((run, index) => chip(byId("by-run"), run.name, "", "run", index));
  }
  const wrong = data.runs.length === 1 ? percent(1 - data.runs[0].outcomes.right) : "";
  chip(byId("by-outcome"), "all failures", wrong, "outcome", null);
  for (const [name, share] of Object.entries(data.runs[0].outcomes)) {
    chip(byId("by-outcome"), name, data.runs.length === 1 ? percent(share) : "", "outcome", name);
  }
  byId("true-boxes").addEventListener("change", (event) => {
    byId("gallery").classList.toggle("hide-true", !event.target.checked);
  });
  byId("more").addEventListener("click", () => { chosen.most += PAGE; refresh(true); });
  byId("cell").addEventListener("click", () => { chosen.cell = null; refresh(); });
  for (const button of document.querySelectorAll(".confusion button")) {
    button.addEventListener("click", () => {
      const { run, true: counted, found } = button.dataset;
      chosen.cell = { run: Number(run), true: Number(counted), found: Number(found) };
      refresh();
      byId("scenes").scrollIntoView();
    });
  }
  refresh();
}

function refresh(more = false) {
  if (!more) chosen.most = PAGE;
  const cell = chosen.cell;
  const all = data.runs.flatMap((run, index) => run.gallery.map((shown) => ({ ...shown, run: index })));
  const kept = all.filter((shown) => cell
    ? shown.run === cell.run && shown.true === cell.true && shown.found === cell.found
    : (chosen.run === null || shown.run === chosen.run) &&
      (chosen.outcome === null ? shown.outcome !== "right" : shown.outcome === chosen.outcome));
  const runs = data.runs.filter((_, index) => cell ? index === cell.run : chosen.run === null || chosen.run === index);
  const there = cell ? runs[0].confusion[cell.true][cell.found] : runs.reduce((sum, run) => sum + Math.round(run.scenes *
    (chosen.outcome === null ? 1 - run.outcomes.right : run.outcomes[chosen.outcome])), 0);
  const names = (shown) => (data.runs.length > 1 ? data.runs[shown.run].name + ", " : "") + `scene ${shown.scene}`;
  byId("gallery").replaceChildren(...kept.slice(0, chosen.most).map((shown) => {
    const card = scene(shown, chosen.outcome === null || cell ? shown.outcome : "");
    card.title = `${names(shown)}: ${shown.outcome}`;
    card.dataset.outcome = shown.outcome;
    card.dataset.counts = `${shown.true} ${shown.found}`;
    return card;
  }));
  byId("shown").textContent = `${Math.min(kept.length, chosen.most)} shown, ${kept.length} kept, ${there} in all`;
  byId("more").hidden = kept.length <= chosen.most;
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

figure1();
gallery();
drawing();
