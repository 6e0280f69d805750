"use strict";
// Everything is made with createElement, textContent and setAttribute: no name of a file is ever read as HTML.
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const PAGE = { gallery: 200, table: 1000 }; // pictures and rows at a time
const NEAR = 12; // pixels of the screen beside a box in which a click still means it
const byId = (id) => document.getElementById(id);
const colour = (index) => data.colours[index % data.colours.length];
const whole = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");
const percent = (share) => (share === null ? "\u2013" : (100 * share).toFixed(1).replace("-", "\u2212") + "%");
const counted = (number) => `${whole(number)} ${number === 1 ? "object" : "objects"}`;
const flagged = (picture) => picture.verdict !== "fine";

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function drawn(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const address = (text) => `data:image/${text.startsWith("iVBOR") ? "png" : "jpeg"};base64,` + text;

// In plain words what is wrong with a count; a limit that was reached is told with whatever else is.
function sentence(picture) {
  const keys = [picture.verdict, picture.limit ? "at_limit" : picture.verdict];
  return [...new Set(keys)].filter((key) => key !== "fine").map((key) => data.sentences[key] ?? key).join(" ");
}

// The boxes of a picture as one path for each colour: hundreds of boxes stay light.
function outlines(picture) {
  const paths = data.colours.map(() => "");
  picture.boxes.forEach(([x0, y0, x1, y1], index) => {
    paths[index % paths.length] += `M${x0} ${y0}H${x1}V${y1}H${x0}Z`;
  });
  return drawn("svg", { viewBox: `0 0 ${picture.size.join(" ")}`, "aria-hidden": "true" },
    drawn("path", { class: "under", d: paths.join("") }),
    ...paths.map((d, index) => (d ? drawn("path", { class: "over", d, stroke: colour(index) }) : "")));
}

// --- the gallery and the table ---
const view = { kind: "gallery", most: PAGE.gallery };
const collator = new Intl.Collator("en", { numeric: true });
const known = (fit, otherwise) => fit ?? otherwise;
const orders = {
  given: () => 0,
  name: (a, b) => collator.compare(a.name, b.name),
  most: (a, b) => b.count - a.count,
  fewest: (a, b) => a.count - b.count,
  worst: (a, b) => known(a.fit, 2) - known(b.fit, 2), // a fit is at most 1: those without one come last
  best: (a, b) => known(b.fit, -Infinity) - known(a.fit, -Infinity) || 0,
};

function sorted() {
  return [...data.pictures].sort(orders[byId("sort").value]);
}

// The pictures of the gallery in their order: those that can be zoomed.
function pictured() {
  return sorted().filter((picture) => picture.size && (!byId("only-flagged").checked || flagged(picture)));
}

function card(picture) {
  const image = make("img", { src: address(picture.small ?? picture.large), alt: "", loading: "lazy", decoding: "async" });
  if (Math.max(...picture.size) < 200) image.className = "pixels";
  const look = make("button", { type: "button", class: "look" }, image, outlines(picture));
  look.setAttribute("aria-label", `${picture.name}: ${counted(picture.count)}, enlarge`);
  look.addEventListener("click", () => zoom(picture));
  const place = picture.name.replaceAll("\\", "/").lastIndexOf("/") + 1;
  const caption = make("figcaption", {},
    make("span", { class: "name", title: picture.name }, picture.name.slice(place)),
    make("b", {}, counted(picture.count)), make("span", { class: "fit" }, `fit ${percent(picture.fit)}`));
  if (flagged(picture)) caption.append(make("p", { class: "verdict" }, sentence(picture)));
  const figure = make("figure", { class: flagged(picture) ? "picture flagged" : "picture" }, look, caption);
  figure.dataset.index = picture.index;
  return figure;
}

function row(picture) {
  const name = make("th", { scope: "row" }, picture.name);
  if (picture.size) {
    const button = make("button", { type: "button" }, picture.name);
    button.addEventListener("click", () => zoom(picture));
    name.replaceChildren(button);
  }
  const cells = [whole(picture.count), percent(picture.fit), flagged(picture) ? sentence(picture) : "fine"];
  const line = make("tr", flagged(picture) ? { class: "flagged" } : {}, name, ...cells.map((text) => make("td", {}, text)));
  line.dataset.index = picture.index;
  return line;
}

function refresh() {
  const gallery = view.kind === "gallery";
  const only = byId("only-flagged").checked;
  const all = sorted().filter((picture) => !only || flagged(picture));
  const kept = gallery ? all.filter((picture) => picture.size) : all;
  const shown = kept.slice(0, view.most);
  byId("gallery").hidden = !gallery;
  byId("table").hidden = gallery;
  byId(gallery ? "gallery" : "rows").replaceChildren(...shown.map(gallery ? card : row));
  byId(gallery ? "rows" : "gallery").replaceChildren();
  if (!shown.length && gallery) byId("gallery").append(make("p", { class: "empty" }, only ? "No picture is flagged." : "There is no picture."));
  const total = data.pictures.length;
  const part = shown.length === total ? "" : `${whole(shown.length)} of `;
  byId("shown").textContent = `${part}${whole(total)} ${total === 1 ? "picture" : "pictures"}`;
  byId("more").hidden = kept.length <= view.most;
}

function change() {
  view.most = PAGE[view.kind];
  refresh();
}

function show(kind) {
  view.kind = kind;
  byId("as-gallery").setAttribute("aria-pressed", String(kind === "gallery"));
  byId("as-table").setAttribute("aria-pressed", String(kind === "table"));
  change();
}

function showBoxes(on) {
  byId("boxes").checked = byId("zoom-boxes").checked = on;
  document.body.classList.toggle("no-boxes", !on);
}

// --- counts.csv, as RFC 4180 has it ---
function field(value) {
  let text = String(value ?? "");
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = "'" + text; // a spreadsheet would compute it
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const rows = data.pictures.map((picture) => [picture.name, picture.count, picture.fit, picture.verdict]);
  return [["image", "count", "fit", "verdict"], ...rows].map((each) => each.map(field).join(",") + "\r\n").join("");
}

function save() {
  const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  make("a", { href: address, download: "counts.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

// --- one picture, large ---
let now = null; // the picture that is zoomed: {picture, images, svg, rects, chosen}

function loaded(text) {
  if (!text) return Promise.resolve(null);
  const image = make("img", { src: address(text), alt: "" });
  return image.decode().then(() => image);
}

function zoom(picture) {
  const kept = pictured();
  const place = kept.indexOf(picture);
  byId("zoom-name").textContent = picture.name;
  byId("zoom-about").textContent = `${counted(picture.count)}, fit ${percent(picture.fit)}, ${picture.size.map(whole).join(" × ")} pixels`;
  byId("place").textContent = place < 0 ? "" : `${whole(place + 1)} of ${whole(kept.length)}`;
  byId("zoom-verdict").hidden = !flagged(picture);
  byId("zoom-verdict").textContent = sentence(picture);
  byId("zoom-small").hidden = Boolean(picture.large);
  const image = make("img", { src: address(picture.large ?? picture.small), alt: picture.name, decoding: "async" });
  if (Math.max(...picture.size) < 400) image.className = "pixels";
  const svg = drawn("svg", { viewBox: `0 0 ${picture.size.join(" ")}`, role: "group", "aria-label": "objects" });
  const rects = picture.boxes.map(([x0, y0, x1, y1, probability], index) => {
    const place = { x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0), stroke: colour(index) };
    const name = `object ${index + 1}, probability ${percent(probability)}`;
    return drawn("rect", { ...place, tabindex: "0", role: "button", "aria-label": name });
  });
  rects.forEach((rect, index) => rect.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(index);
  }));
  const under = outlines(picture).querySelector(".under");
  svg.append(under, ...rects);
  svg.addEventListener("click", (event) => choose(boxAt(svg, picture.boxes, event)));
  byId("stage").replaceChildren(image, svg);
  now = { picture, svg, rects, images: Promise.all([loaded(picture.large ?? picture.small), loaded(picture.drawn)]) };
  choose(-1);
  if (!byId("zoom").open) byId("zoom").showModal();
}

// The smallest box under the pointer, or else the nearest one that is near; -1 if none is.
function boxAt(svg, boxes, event) {
  const screen = svg.getScreenCTM();
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(screen.inverse());
  const far = ([x0, y0, x1, y1]) => Math.hypot(Math.max(x0 - x, 0, x - x1), Math.max(y0 - y, 0, y - y1));
  const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
  const near = boxes.map((box, index) => ({ index, far: far(box), area: area(box) })).filter((each) => each.far * screen.a <= NEAR);
  near.sort((a, b) => a.far - b.far || a.area - b.area);
  return near.length ? near[0].index : -1;
}

// A part of a picture on a square canvas: box and a margin of it, enlarged.
function cut(image, [width, height], [x0, y0, x1, y1], index) {
  const side = 1.3 * Math.max(x1 - x0, y1 - y0, 1);
  const scale = image.naturalWidth / width;
  const [left, top] = [(x0 + x1 - side) / 2, (y0 + y1 - side) / 2];
  const canvas = make("canvas", { width: 320, height: 320 });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = side * scale > 80; // a few pixels are shown as they are
  pen.setTransform(320 / side, 0, 0, 320 / side, -left * 320 / side, -top * 320 / side);
  pen.drawImage(image, 0, 0, width, height);
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.strokeStyle = colour(index);
  pen.lineWidth = 3;
  pen.strokeRect(...[x0 - left, y0 - top, x1 - x0, y1 - y0].map((edge) => edge * 320 / side));
  return canvas;
}

async function choose(index) {
  const zoomed = now;
  const { picture, svg, rects } = zoomed;
  zoomed.chosen = index;
  svg.classList.toggle("choosing", index >= 0);
  rects.forEach((rect, each) => rect.classList.toggle("chosen", each === index));
  const words = picture.boxes.length ? "Select a box to see its object beside the reconstruction." : "No object was found.";
  if (index < 0) return byId("object").replaceChildren(make("p", {}, words));
  const [image, reconstruction] = await zoomed.images;
  if (now !== zoomed || zoomed.chosen !== index) return; // another one was selected meanwhile
  const box = picture.boxes[index];
  const key = make("span", { class: "key" });
  key.style.background = colour(index);
  const head = make("h3", {}, key, `Object ${whole(index + 1)} `, make("span", {}, `probability ${percent(box[4])}`));
  const part = (of, text) => make("figure", {}, cut(of, picture.size, box, index), make("figcaption", {}, text));
  const pair = make("div", { class: "pair" }, part(image, "picture"));
  if (reconstruction) pair.append(part(reconstruction, "reconstruction"));
  byId("object").replaceChildren(head, pair);
  if (!reconstruction) byId("object").append(make("p", {}, "Its reconstruction is not kept."));
}

function step(by) {
  const kept = pictured();
  const place = kept.indexOf(now.picture);
  if (kept.length) zoom(kept[(place + by + kept.length) % kept.length]);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const zoomed = byId("zoom").open;
  if (event.key.toLowerCase() === "b" && event.target.tagName !== "SELECT") showBoxes(!byId("boxes").checked);
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by || !zoomed) return;
  event.preventDefault();
  step(by);
}

data.pictures.forEach((picture, index) => { picture.index = index; });
byId("bar").hidden = false;
byId("as-gallery").addEventListener("click", () => show("gallery"));
byId("as-table").addEventListener("click", () => show("table"));
byId("sort").addEventListener("change", change);
byId("only-flagged").addEventListener("change", change);
byId("more").addEventListener("click", () => { view.most += PAGE[view.kind]; refresh(); });
for (const id of ["boxes", "zoom-boxes"]) byId(id).addEventListener("change", (event) => showBoxes(event.target.checked));
byId("save").addEventListener("click", save);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => byId("zoom").close());
byId("zoom").addEventListener("close", () => {
  byId("stage").replaceChildren();
  const last = document.querySelector(`[data-index="${now.picture.index}"] button`);
  if (last) last.focus();
  now = null;
});
document.addEventListener("keydown", key);
show("gallery");
