// A map without tiles or network: an outline and where the data lie when the server sends them, else a grid of degrees.
// `drawMap(holder, model, choose)` draws it; `choose(longitude, latitude)` is called when a place is pointed at.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const STEP = 0.1;
const LONG_STEP = 1;

export function drawMap(holder, model, choose) {
  const [west, south, east, north] = boundsOf(model);
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const scale = WIDTH / ((east - west) * squeeze);
  const height = (north - south) * scale;
  const x = (longitude) => (longitude - west) * squeeze * scale;
  const y = (latitude) => (north - latitude) * scale;
  const svg = element("svg", {
    viewBox: `0 0 ${WIDTH} ${round(height)}`, tabindex: 0, role: "application",
    "aria-roledescription": "map", "aria-describedby": "map-help",
  });
  svg.append(element("rect", { class: "sea", width: WIDTH, height: round(height) }));
  if (model.land) drawLand(svg, model.land, x, y);
  drawGrid(svg, [west, south, east, north], x, y, height);
  if (model.land) drawPlaces(svg, model.land, x, y);
  const marker = drawMarker(svg);
  let at = null;

  function move(longitude, latitude, price) {
    at = longitude === null || latitude === null ? null : [longitude, latitude];
    if (!at) {
      marker.group.setAttribute("visibility", "hidden");
      svg.setAttribute("aria-label", "Map. No place is given.");
      return;
    }
    const inside = longitude >= west && longitude <= east && latitude >= south && latitude <= north;
    marker.group.setAttribute("visibility", inside ? "visible" : "hidden");
    marker.group.setAttribute("transform", `translate(${round(x(longitude))} ${round(y(latitude))})`);
    const right = x(longitude) > WIDTH * 0.62;
    marker.tag.setAttribute("x", right ? -16 : 16);
    marker.tag.setAttribute("text-anchor", right ? "end" : "start");
    marker.tag.textContent = price ?? "";
    const said = `Map. The place is ${longitude} degrees east, ${latitude} degrees north`;
    svg.setAttribute("aria-label", inside ? `${said}.` : `${said}, outside this map.`);
  }

  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const inner = Math.min(box.width / WIDTH, box.height / height); // the drawing is centred in its box
    const left = (box.width - WIDTH * inner) / 2;
    const top = (box.height - height * inner) / 2;
    const longitude = west + (event.clientX - box.left - left) / inner / scale / squeeze;
    const latitude = north - (event.clientY - box.top - top) / inner / scale;
    choose(...kept(longitude, latitude, [west, south, east, north]));
  });
  svg.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? LONG_STEP : STEP;
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (!way) return;
    event.preventDefault();
    const from = at ?? [(west + east) / 2, (south + north) / 2];
    choose(...kept(from[0] + way[0], from[1] + way[1], [west, south, east, north]));
  });
  holder.replaceChildren(svg);
  return move;
}

function boundsOf(model) {
  if (model.land) return model.land.bounds;
  const of = (name) => model.fields.find((field) => field.name === name);
  const [a, b] = [of(model.coordinates.east), of(model.coordinates.north)].map((field) => {
    const [low, high] = field.usual ?? [field.minimum, field.maximum];
    const margin = Math.max((high - low) * 0.15, 0.05);
    return [Math.max(low - margin, field.minimum), Math.min(high + margin, field.maximum)];
  });
  return [a[0], Math.max(b[0], -85), a[1], Math.min(b[1], 85)];
}

function kept(longitude, latitude, [west, south, east, north]) {
  const within = (value, low, high) => Math.round(Math.min(Math.max(value, low), high) * 100) / 100;
  return [within(longitude, west, east), within(latitude, south, north)];
}

function drawLand(svg, land, x, y) {
  for (const [kind, outlines] of [["around", land.around], ["land", land.outlines]]) {
    for (const outline of outlines) {
      const path = outline.map(([longitude, latitude]) => `${round(x(longitude))},${round(y(latitude))}`).join("L");
      svg.append(element("path", { class: kind, d: `M${path}Z` }));
    }
  }
  const size = land.step * (y(0) - y(1));
  for (let i = 0; i < land.cells.length; i += 3) {
    const [column, row, count] = land.cells.slice(i, i + 3);
    const r = round(size * Math.min(0.22 + 0.09 * Math.log(count + 1), 0.5));
    svg.append(element("circle", { class: "cell", cx: round(x(column * land.step)), cy: round(y(row * land.step)), r }));
  }
}

function drawGrid(svg, [west, south, east, north], x, y, height) {
  const span = Math.max(east - west, north - south);
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45].find((each) => span / each <= 8) ?? 45;
  const shown = (value) => `${Math.round(Math.abs(value) * 10) / 10}°`;
  for (let at = Math.ceil(west / step) * step; at < east; at += step) {
    svg.append(element("path", { class: "grid", d: `M${round(x(at))},0V${round(height)}` }));
    if (x(at) > WIDTH - 60) continue; // no room for its name
    svg.append(text("degree", round(x(at)) + 3, round(height) - 5, shown(at) + (at < 0 ? " W" : " E")));
  }
  for (let at = Math.ceil(south / step) * step; at < north; at += step) {
    svg.append(element("path", { class: "grid", d: `M0,${round(y(at))}H${WIDTH}` }));
    svg.append(text("degree", 4, round(y(at)) - 4, shown(at) + (at < 0 ? " S" : " N")));
  }
}

function drawPlaces(svg, land, x, y) {
  for (const [name, longitude, latitude] of land.places) {
    svg.append(element("circle", { class: "city-dot", cx: round(x(longitude)), cy: round(y(latitude)), r: 2.2 }));
    svg.append(text("city", round(x(longitude)) + 6, round(y(latitude)) + 4, name));
  }
}

function drawMarker(svg) {
  const group = element("g", { visibility: "hidden" });
  const tag = text("tag", 16, 6, "");
  group.append(element("circle", { class: "halo", r: 17 }), element("circle", { class: "mark", r: 7 }), tag);
  svg.append(group);
  return { group, tag };
}

function text(kind, x, y, content) {
  const made = element("text", { class: kind, x, y });
  made.textContent = content;
  return made;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
