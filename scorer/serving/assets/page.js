// The form, made of what the server says of the schema and the model; predictions through /v2, as any program gets them.
// Text from outside goes into the page as text (textContent, value), never as markup.

import { drawMap } from "./map.js";

const MODEL = "/page/model.json";
const WAIT_MS = 250;
const KEPT = 5;

const by = (id) => document.getElementById(id);
const number = (value) => new Intl.NumberFormat(undefined, {
  maximumFractionDigits: Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 1 ? 2 : 4,
}).format(value);

let model = null;
let inputs = new Map();
let moveMarker = null;
let running = null;
let timer = 0;
let pressed = false;
const pending = [];

async function start() {
  model = await load();
  if (!model) return;
  document.title = `${model.target} – Longshore`;
  by("title").textContent = model.target;
  build();
  reset();
}

async function load() {
  try {
    const answer = await fetch(MODEL);
    if (!answer.ok) throw new Error(String(answer.status));
    const found = await answer.json();
    const rows = found.rows ? `, which learned from ${number(found.rows)} records` : "";
    by("subtitle").textContent = found.version
      ? `An estimate by model ${found.version}${rows}`
      : "There is no model yet; train one with `longshore train`.";
    return found;
  } catch {
    by("subtitle").textContent = "The server does not answer. Reload the page to try again.";
    return null;
  }
}

function build() {
  inputs = new Map();
  const built = model.fields.map(buildField);
  by("fields").replaceChildren(...built);
  by("empty").hidden = !model.fields.some((field) => field.nullable && field.kind === "numeric");
  const mapped = Boolean(model.coordinates);
  by("place").hidden = !mapped;
  document.querySelector("main").classList.toggle("mapped", mapped);
  moveMarker = mapped ? drawMap(by("map"), model, choose) : null;
}

function buildField(field) {
  const id = `field-${field.name}`;
  const holder = make("div", { class: "field" });
  const label = make("label", { for: id }, field.label);
  const input = field.kind === "nominal" && field.categories.length ? choices(field) : entry(field);
  input.id = id;
  input.name = field.name;
  input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  if (!field.nullable) input.required = true;
  const hint = make("p", { class: "hint", id: `${id}-hint` }, hintOf(field));
  const error = make("p", { class: "error", id: `${id}-error`, hidden: "" });
  holder.append(label, input, hint, error);
  input.addEventListener("input", () => { mark(field, null); soon(); });
  input.addEventListener("change", () => { released(() => check(field)); soon(); });
  inputs.set(field.name, { field, input, hint, error });
  return holder;
}

// A message that appears while a button is being pressed would move the button away from under the pointer, and the
// press would be no click: what changes the layout waits for the release.
function released(action) {
  if (pressed) pending.push(action);
  else action();
}

function release() {
  pressed = false;
  setTimeout(() => pending.splice(0).forEach((action) => action()));
}

function choices(field) {
  const select = make("select");
  if (field.nullable) select.append(make("option", { value: "" }, "not known"));
  for (const category of field.categories) select.append(make("option", { value: category }, category));
  return select;
}

function entry(field) {
  const input = make("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const low = field.minimum ?? field.usual?.[0];
  // A phone's number keys have no minus sign: only where none is needed.
  if (field.kind === "numeric" && low != null && low >= 0) input.inputMode = "decimal";
  return input;
}

function hintOf(field) {
  const parts = [];
  if (field.description) parts.push(field.description);
  if (field.usual) parts.push(`mostly ${number(field.usual[0])} to ${number(field.usual[1])}`);
  const hint = parts.join("; ");
  return hint.charAt(0).toUpperCase() + hint.slice(1);
}

function reset() {
  for (const { field, input } of inputs.values()) {
    input.value = field.example ?? (field.kind === "nominal" ? "" : field.nullable ? "" : field.minimum ?? 0);
    mark(field, null);
  }
  predict();
}

// What is wrong with a field's text, in words; null where nothing is.
function fault(field, text) {
  if (text === "") return field.nullable ? null : `${field.label} is needed.`;
  if (field.kind === "nominal") return null;
  const value = Number(text);
  if (/,/.test(text)) return `Write ${field.label.toLowerCase()} without commas, with a point for decimals.`;
  if (!Number.isFinite(value)) return `${field.label} is a number, such as ${field.example ?? 1}.`;
  if (field.minimum != null && value < field.minimum) return `${field.label} is ${field.minimum} or more.`;
  if (field.maximum != null && value > field.maximum) return `${field.label} is ${field.maximum} or less.`;
  return null;
}

function check(field) {
  const found = fault(field, inputs.get(field.name).input.value.trim());
  mark(field, found);
  return found;
}

function mark(field, message) {
  const { input, error, hint } = inputs.get(field.name);
  error.textContent = message ?? "";
  error.hidden = !message;
  if (message) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
  const value = Number(input.value);
  const odd = field.usual && input.value.trim() !== "" && (value < field.usual[0] || value > field.usual[1]);
  hint.classList.toggle("warn", Boolean(odd) && !message);
}

function choose(longitude, latitude) {
  const { coordinates } = model;
  for (const [name, value] of [[coordinates.east, longitude], [coordinates.north, latitude]]) {
    const { field, input } = inputs.get(name);
    input.value = value;
    mark(field, null);
  }
  soon();
  showPlace();
}

function showPlace(price) {
  if (!moveMarker) return;
  const { coordinates } = model;
  const [east, north] = [coordinates.east, coordinates.north].map((name) => {
    const { field, input } = inputs.get(name);
    const text = input.value.trim();
    return text === "" || fault(field, text) ? null : Number(text);
  });
  moveMarker(east, north, price);
}

function soon() {
  by("price").classList.add("stale");
  clearTimeout(timer);
  timer = setTimeout(() => predict(), WAIT_MS);
}

async function predict({ asked = false } = {}) {
  clearTimeout(timer);
  running?.abort();
  tell(null);
  const wrong = [...inputs.values()].filter(({ field, input }) => fault(field, input.value.trim()));
  if (wrong.length) {
    unpriced("Correct the form to get a prediction.");
    if (asked) {
      for (const { field } of wrong) check(field);
      wrong[0].input.focus();
    }
    return;
  }
  showPlace();
  running = new AbortController();
  try {
    const answer = await fetch(`/v2/models/${encodeURIComponent(model.model)}/infer`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ inputs: [...inputs.values()].map(tensor) }),
      signal: running.signal,
    });
    const found = await answer.json();
    if (answer.ok) show(found);
    else refuse(found);
  } catch (error) {
    if (error.name === "AbortError") return;
    unpriced();
    tell("The server does not answer. Try again in a moment.");
  }
}

function tensor({ field, input }) {
  const text = input.value.trim();
  if (field.kind === "nominal") return { name: field.name, datatype: "BYTES", shape: [1], data: [text || null] };
  return { name: field.name, datatype: "FP64", shape: [1], data: [text === "" ? null : Number(text)] };
}

function show(found) {
  const value = found.outputs[0].data[0];
  const price = number(value);
  const now = new Date();
  by("price").textContent = price;
  by("price").classList.remove("stale");
  const time = make("time", { datetime: now.toISOString() }, now.toLocaleTimeString());
  by("origin").replaceChildren(
    `${model.target} by model `, make("strong", {}, found.model_version),
    `, generation ${found.parameters.generation}, at `, time,
  );
  showPlace(price);
  remember(price, now);
  if (found.model_version !== model.version) renew();
}

// A newer model was taken into use: its hints, and the form as it stands.
async function renew() {
  const values = [...inputs].map(([name, { input }]) => [name, input.value]);
  const found = await load();
  if (!found) return;
  model = found;
  build();
  for (const [name, value] of values) if (inputs.has(name)) inputs.get(name).input.value = value;
  showPlace(by("price").textContent);
}

function refuse(found) {
  unpriced();
  const named = (found.rejects ?? []).filter((reject) => inputs.has(reject.field));
  for (const reject of named) mark(inputs.get(reject.field).field, `The model refuses this: ${reject.message}.`);
  if (!named.length) tell(found.error ?? "The server refused the request.");
}

function unpriced(reason = "No prediction.") {
  by("price").textContent = "–";
  by("origin").textContent = reason;
  showPlace();
}

function tell(message) {
  by("problem").textContent = message ?? "";
  by("problem").hidden = !message;
}

function remember(price, now) {
  const list = by("list");
  const where = moveMarker
    ? `${inputs.get(model.coordinates.north).input.value || "?"}, ${inputs.get(model.coordinates.east).input.value || "?"}`
    : now.toLocaleTimeString();
  const item = make("li");
  item.append(make("span", { class: "quiet" }, where), make("strong", {}, price));
  list.prepend(item);
  while (list.children.length > KEPT + 1) list.lastChild.remove();
  list.firstChild.hidden = true; // the present one stands above
  for (const older of [...list.children].slice(1)) older.hidden = false;
  by("past").hidden = list.children.length < 2;
}

function make(name, attributes = {}, content = "") {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (content) made.textContent = content;
  return made;
}

addEventListener("pointerdown", () => { pressed = true; }, true);
addEventListener("pointerup", release, true);
addEventListener("pointercancel", release, true);
by("form").addEventListener("submit", (event) => { event.preventDefault(); predict({ asked: true }); });
by("form").addEventListener("reset", (event) => { event.preventDefault(); reset(); });
start();
