// The officer's page. In: server-sent events `hello`, `status`, `hit`, `earlier`. Out: text nodes
// only; nothing that arrives is ever treated as markup. It sends hotplates, and nothing else.
"use strict";

// A status comes every second; this much silence is a lost connection.
const SILENCE_MS = 2500;
// A hit that arrives while the page was away is still raised when it is this fresh.
const FRESH_S = 120;
// A shown hit is left in front of one that is no more urgent for this long.
const HOLD_MS = 20000;

const $ = (id) => document.getElementById(id);
const RANK = { low: 0, medium: 1, high: 2 };
const SHAPE = { low: "● LOW", medium: "◆ MEDIUM", high: "▲ HIGH" };

const hits = new Map(); // by id, in order of arrival
const waiting = new Set(); // ids that nobody has looked at yet
let shown = null; // id of the hit in front
let form = null; // "add", or the id of the hotplate that is to go
let running = ""; // the hotplates as drawn last
let shownAt = 0; // performance.now() when it came there
let status = null;
let heard = performance.now();
let lostSince = null;
let version = null;
let ahead = 0; // vehicle's clock minus this terminal's, in ms

const now = () => Date.now() + ahead;

function make(tag, kind, ...inside) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  for (const part of inside) element.append(part);
  return element;
}

function refill(element, ...inside) {
  element.replaceChildren(...inside);
}

// --- words

const REGIONS = {
  "CA-AB": "Alberta", "CA-BC": "British Columbia", "CA-MB": "Manitoba", "CA-NB": "New Brunswick",
  "CA-NL": "Newfoundland", "CA-NS": "Nova Scotia", "CA-NT": "Northwest Terr.", "CA-NU": "Nunavut",
  "CA-ON": "Ontario", "CA-PE": "Prince Edward I.", "CA-QC": "Québec", "CA-SK": "Saskatchewan",
  "CA-YT": "Yukon", "US-MI": "Michigan", "US-NY": "New York", "US-OH": "Ohio",
  "US-PA": "Pennsylvania", "US-VT": "Vermont", "US-WA": "Washington",
};

function region(code) {
  return REGIONS[code] || code;
}

function words(category) {
  return category.replaceAll("_", " ");
}

function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

function since(time) {
  return age(now() - Date.parse(time));
}

function clock(time) {
  const date = new Date(time);
  const text = date.toLocaleTimeString("en-GB");
  const today = new Date(now()).toDateString() === date.toDateString();
  return today ? text : `${date.toLocaleDateString("en-CA")} ${text}`;
}

function position(where) {
  if (where.state !== "fixed") return null;
  const parts = [`${where.latitude.toFixed(5)}, ${where.longitude.toFixed(5)}`];
  if (where.accuracy_m != null) parts.push(`±${Math.round(where.accuracy_m)} m`);
  const moving = where.speed_mps != null && where.speed_mps > 1;
  if (moving && where.heading_deg != null) {
    parts.push(["N", "NE", "E", "SE", "S", "SW", "W", "NW"][Math.round(where.heading_deg / 45) % 8] + "-bound");
  }
  if (moving) parts.push(`${Math.round(where.speed_mps * 3.6)} km/h`);
  if (where.age && where.age.secs >= 2) parts.push(`fix ${where.age.secs} s old`);
  return parts.join(" · ");
}

function text(card, side) {
  return card.pairs.map((pair) => pair[side] || "").join("");
}

// --- the hit in front

function plate(side, card) {
  return card.pairs.map((pair) => {
    const mark = pair.mark === "same" ? "" : pair.mark;
    return make("span", pair[side] ? mark : `${mark} gap`, pair[side] || " ");
  });
}

function sign(card) {
  const off = card.pairs.filter((pair) => pair.mark === "differs");
  const folded = card.pairs.filter((pair) => pair.mark === "folded");
  if (card.match_kind === "wildcard") {
    return ["alike", `≈ PARTIAL PLATE: the list has ${text(card, "listed")}, compare what it leaves open`];
  }
  const read = card.jurisdiction_read;
  if (read && card.jurisdiction_listed && read !== card.jurisdiction_listed) {
    return ["other", `≠ plate of ${region(read)}, list says ${region(card.jurisdiction_listed)}`];
  }
  if (card.match_kind !== "exact" || off.length > 0) {
    const which = off.map((pair) => `${pair.read || "none"} read, ${pair.listed || "none"} listed`).join("; ");
    return ["alike", `≈ APPROXIMATE: ${which || "a less likely reading"}`];
  }
  if (folded.length > 0) {
    return ["exact", "= EXACT, with O and 0, I and 1 taken as equal (dashed)"];
  }
  return ["exact", "= EXACT, every character"];
}

function fact(list, name, value, kind) {
  if (value) list.push(make("dt", "", name), make("dd", kind || "", value));
}

function listAge(card) {
  const list = status && status.lists.find((l) => l.name === card.list);
  return `${card.list}, its source is ${since(card.list_time)} old` + (list && list.stale ? ": OLD" : "");
}

function drawCard() {
  const card = hits.get(shown);
  $("card").hidden = !card || Boolean(form);
  $("watch").hidden = Boolean(card || form);
  $("form").hidden = !form;
  $("overview").hidden = !card && !form;
  if (!card) return;
  $("card").dataset.priority = card.priority;
  $("card").dataset.hit = card.id;
  $("category").textContent = words(card.category);
  $("priority").textContent = SHAPE[card.priority];
  for (const side of ["read", "listed"]) {
    $(side).style.setProperty("--places", Math.max(6, card.pairs.length));
    refill($(side), ...plate(side, card));
    $(side).setAttribute("aria-label", `${side}: ${[...text(card, side)].join(" ")}`);
  }
  const weakest = `weakest character ${Math.round(card.weakest * 100)} %`;
  const read = card.jurisdiction_read;
  $("read-from").classList.toggle("unread", !read);
  refill($("read-from"), read ? region(read) : "jurisdiction not read", make("small", "", read ? "as read" : "compare with your own eyes"));
  const listed = card.jurisdiction_listed;
  refill($("listed-from"), listed ? region(listed) : "jurisdiction not stated", make("small", "", listed || "by the list"));
  const [kind, says] = sign(card);
  $("sign").className = `sign ${kind}`;
  refill($("sign"), says);
  if (kind !== "other" && !(card.jurisdiction_read && card.jurisdiction_listed)) {
    $("sign").append(make("span", "", " · jurisdiction not compared"));
  }
  if (card.syntax === "incompatible") {
    $("sign").append(make("span", "", ` · CHECK JURISDICTION: not a usual plate of ${region(card.jurisdiction_listed)}`));
  }
  if (card.stale) $("sign").append(make("span", "", " · STALE LIST: confirm first"));
  const source = `/hit/${encodeURIComponent(card.id)}/plate.jpg`;
  if ($("picture").getAttribute("src") !== source) $("picture").src = source;
  $("picture-note").textContent = `plate as seen, ${card.plate_px} px wide`;
  const facts = [];
  const caution = status && status.lists.some((l) => l.name === card.list && l.stale);
  fact(facts, "Vehicle", card.vehicle || "not stated");
  fact(facts, "Reason", card.reason);
  fact(facts, "Source", card.source);
  fact(facts, "Case", card.case);
  fact(facts, "List", listAge(card), caution ? "warn" : "");
  const where = position(card.position);
  fact(facts, "Where", where || "NO FIX: position not known", where ? "" : "warn");
  fact(facts, "Seen", `${clock(card.seen)}, ${card.camera}, ${card.frames} frames, ${weakest}`);
  for (const other of card.others) {
    const alike = other.match_kind === "exact" ? "=" : "≈";
    const from = other.jurisdiction ? region(other.jurisdiction) : "jurisdiction not stated";
    fact(facts, "Also", `${alike} ${other.listed} ${from}: ${words(other.category)} (${other.list})`, "warn");
  }
  refill($("facts"), ...facts);
  drawAges();
}

// --- the other hits

function entry(card) {
  const alike = card.match_kind === "exact" ? "=" : "≈";
  const listed = card.jurisdiction_listed ? ` ${card.jurisdiction_listed}` : "";
  const ago = make("span", "ago", "");
  ago.dataset.seen = card.seen;
  ago.dataset.after = card.camera;
  const button = make("button", `hit ${card.priority}`,
    make("b", "", `${alike} ${text(card, "listed")}`), listed,
    make("span", "what", `${SHAPE[card.priority]} ${words(card.category)}`), ago);
  button.type = "button";
  button.dataset.id = card.id;
  if (card.id === shown) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => show(card.id));
  return make("li", "", button);
}

function drawLists() {
  const newest = [...hits.values()].reverse();
  const unseen = newest.filter((card) => waiting.has(card.id));
  unseen.sort((a, b) => RANK[b.priority] - RANK[a.priority]);
  const focused = document.activeElement && document.activeElement.dataset.id;
  refill($("waiting"), ...unseen.map(entry));
  refill($("earlier"), ...newest.filter((card) => !waiting.has(card.id)).map(entry));
  $("waiting-title").hidden = unseen.length === 0;
  $("waiting-title").textContent = `Waiting (${unseen.length})`;
  $("none").hidden = hits.size > 0;
  drawAges();
  if (focused) {
    const again = [...document.querySelectorAll(".hit")].find((b) => b.dataset.id === focused);
    if (again) again.focus();
  }
}

function drawAges() {
  for (const element of document.querySelectorAll(".ago")) {
    element.textContent = `${since(element.dataset.seen)} ago · ${element.dataset.after}`;
  }
  const card = hits.get(shown);
  if (card) $("when").textContent = `${since(card.seen)} ago · ${card.camera} camera`;
  $("clock").textContent = new Date(now()).toLocaleTimeString("en-GB");
}

function show(id) {
  // What was typed stays: H brings it back.
  form = null;
  shown = id;
  shownAt = performance.now();
  waiting.delete(id);
  $("card").classList.remove("fresh");
  drawCard();
  drawLists();
}

function overview() {
  form = null;
  shown = null;
  drawCard();
  drawLists();
}

function add(card, isNew) {
  const known = hits.has(card.id);
  hits.set(card.id, card);
  const fresh = now() - Date.parse(card.seen) < FRESH_S * 1000;
  if (known || !(isNew || fresh)) {
    drawLists();
    return;
  }
  waiting.add(card.id);
  $("spoken").textContent = `${card.priority} alert: ${words(card.category)}, plate ${[...text(card, "read")].join(" ")}. Unverified.`;
  const front = hits.get(shown);
  const held = performance.now() - shownAt < HOLD_MS;
  if (!front || form || !held || RANK[card.priority] > RANK[front.priority]) {
    show(card.id);
    void $("card").offsetWidth; // starts the animation anew
    $("card").classList.add("fresh");
  } else {
    drawLists();
  }
}

// --- hotplates

function hotplate(id) {
  return status && status.hotplates && status.hotplates.find((h) => h.id === id);
}

function drawHotplates() {
  const list = status.hotplates;
  $("add-hotplate").hidden = !list;
  $("hotplates-title").hidden = !list;
  const drawn = JSON.stringify(list);
  if (drawn === running) return;
  running = drawn;
  refill($("hotplates"), ...(list || []).map((h) => {
    const from = h.jurisdiction === "unknown" ? "" : ` ${h.jurisdiction}`;
    const button = make("button", `plate-row ${h.priority}`, make("b", "", h.plate), from,
      make("span", "", h.reason), make("span", "", `until ${clock(h.expires)} · ${h.role} ${h.by}`));
    button.type = "button";
    button.dataset.hotplate = h.id;
    button.addEventListener("click", () => openForm(h.id));
    return make("li", "", button);
  }));
  // Taken away meanwhile, by another screen, by policy or by its end.
  if (form && form !== "add" && !hotplate(form)) closeForm();
}

function openForm(what) {
  if (!status || !status.hotplates) return;
  form = what;
  const one = hotplate(what);
  $("form-title").textContent = one ? `Remove hotplate ${one.plate}` : "Add a hotplate";
  $("form-what").textContent = one
    ? `${one.reason}. Added by ${one.role} ${one.by} at ${clock(one.added)}, ends at ${clock(one.expires)}.`
    : "Alerts in this car only, until it ends.";
  $("form-says").textContent = "";
  $("add-form").hidden = Boolean(one);
  $("remove-form").hidden = !one;
  drawCard();
  $(one ? "remove-form" : "add-form").elements[0].focus();
}

function closeForm() {
  form = null;
  drawCard();
}

async function send(event, path, what) {
  event.preventDefault();
  const button = event.target.querySelector("[type=submit]");
  button.disabled = true;
  $("form-says").textContent = "";
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what),
    });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    event.target.elements[0].value = "";
    for (const name of ["jurisdiction", "reason", "case", "why"]) {
      if (event.target.elements[name]) event.target.elements[name].value = "";
    }
    closeForm();
  } catch (error) {
    $("form-says").textContent = error.message || "Not done: Outrider does not answer.";
  } finally {
    button.disabled = false;
  }
}

function fields(target) {
  return Object.fromEntries(new FormData(target));
}

$("add-form").addEventListener("submit", (event) => {
  const wanted = fields(event.target);
  if (!wanted.lasts) delete wanted.lasts;
  send(event, "/hotplates/add", wanted);
});
$("remove-form").addEventListener("submit", (event) => {
  send(event, "/hotplates/remove", { id: form, ...fields(event.target) });
});
$("add-hotplate").addEventListener("click", () => openForm("add"));
for (const cancel of document.querySelectorAll(".cancel")) cancel.addEventListener("click", closeForm);

// --- status

function chip(kind, name, value) {
  return make("li", kind, name ? `${name} ` : "", make("b", "", value));
}

const CALM = { working: "ok", starting: "warn", impaired: "warn", down: "bad", off: "" };

function partChip(name, part, working, down) {
  const says = { working, starting: "starting", impaired: part.detail, down: down || part.detail, off: "off" };
  return chip(CALM[part.state], name, says[part.state]);
}

function drawStatus() {
  const chips = [];
  const tiles = [];
  for (const camera of status.cameras) {
    const fps = `${Math.round(camera.fps)} fps`;
    const behind = camera.skipped > 1 ? `, ${Math.round(camera.skipped)} skipped` : "";
    const [kind, says] = {
      reading: [camera.detail ? "warn" : "ok", fps + behind],
      starting: ["warn", "starting"],
      not_reading: ["bad", "NOT READING"],
    }[camera.state];
    chips.push(chip(kind, camera.id, says));
    const tile = make("div", `camera ${camera.state}`, make("h3", "", camera.id), make("b", "", says));
    tile.append(make("p", "", camera.detail || `${camera.reads} vehicles read`));
    tile.dataset.camera = camera.id;
    tiles.push(tile);
  }
  const state = [];
  const where = position(status.position);
  const gps = status.parts.gps || { state: "off" };
  const gpsKind = gps.state === "working" && !where ? "warn" : CALM[gps.state];
  const accuracy = where && status.position.accuracy_m != null ? ` ±${Math.round(status.position.accuracy_m)} m` : "";
  const dimension = where && status.position.three_d ? "3D" : "2D";
  chips.push(chip(where ? gpsKind : gpsKind || "warn", "GPS", where ? dimension + accuracy : gps.state === "off" ? "off" : "NO FIX"));
  fact(state, "GPS", where || `NO FIX${gps.detail ? `: ${gps.detail}` : ""}`, where ? "" : "warn");
  // Hotplates stand in a place of their own, and each has an end rather than an age.
  const lists = status.lists.filter((list) => list.name !== "hotplates");
  if (lists.length === 0) chips.push(chip("bad", "Lists", "NONE"));
  for (const list of lists) {
    chips.push(chip(list.stale ? "warn" : "ok", list.name, since(list.source_time)));
    fact(state, "List", `${list.name} version ${list.version.slice(0, 8)}: ${list.entries.toLocaleString("en-CA")} entries, its source is ${since(list.source_time)} old`
      + (list.stale ? ": OLD" : ""), list.stale ? "warn" : "");
  }
  if (status.policy !== null) fact(state, "Policy", `version ${status.policy}`);
  if (lists.length === 0) {
    const only = status.lists.length > 0 ? "only hotplates" : "nothing";
    fact(state, "Lists", `none in service: ${only} can be matched`, "bad");
  }
  const broker = status.parts.broker || { state: "off" };
  const queue = status.waiting > 0 ? `${status.waiting} waiting` : "";
  chips.push(partChip("Link", broker, queue || "ok", `offline${queue ? `, ${queue}` : ""}`));
  fact(state, "Link", [broker.detail || { working: "broker reached", off: "no broker configured" }[broker.state] || broker.state,
    queue ? `${queue} in the car` : "no hit waits"].join(", "), broker.state === "down" ? "warn" : "");
  chips.push(chip("ok", "Non-hits", status.kept));
  fact(state, "Non-hits", status.kept);
  if (status.past.length) chips.push(chip("", "Seen before listed", status.past.length));
  for (const past of status.past) {
    const place = past.place ? `at ${past.place.map((degrees) => degrees.toFixed(5)).join(", ")}` : "NO FIX";
    fact(state, "Seen before listed", `${past.plate}, now on ${past.list} (${past.category}, ${past.jurisdiction}): the same characters ${since(past.seen)} ago, ${past.camera}, ${place}. No alert: a past sighting`);
  }
  const sound = status.parts.sound || { state: "off" };
  chips.push(partChip("Sound", sound, "on", "NONE"));
  fact(state, "Sound", sound.detail || { working: "ready", starting: "starting" }[sound.state] || "off", CALM[sound.state] === "ok" ? "" : "warn");
  for (const [name, part] of Object.entries(status.parts)) {
    if (["gps", "broker", "sound"].includes(name) || name.startsWith("hotlist/")) continue;
    if (part.state === "working" || part.state === "off") continue;
    chips.push(partChip(name, part, "", part.state === "down" ? "DOWN" : ""));
    fact(state, name, part.detail || part.state, CALM[part.state]);
  }
  for (const [name, part] of Object.entries(status.parts)) {
    if (name.startsWith("hotlist/") && part.state === "down") chips.push(chip("bad", name.slice(8), "NOT LOADED"));
    if (name.startsWith("hotlist/") && part.detail) fact(state, "List", `${name.slice(8)}: ${part.detail}`, CALM[part.state]);
  }
  refill($("chips"), ...chips);
  refill($("cameras"), ...tiles);
  refill($("state"), ...state);
  const dark = status.cameras.filter((camera) => camera.state === "not_reading");
  const starting = status.cameras.some((camera) => camera.state === "starting");
  const word = $("watch-word");
  word.className = dark.length ? "bad" : starting ? "warn" : "";
  word.textContent = dark.length === 0 ? (starting ? "STARTING" : "WATCHING")
    : dark.length === status.cameras.length ? "NOT READING" : "PARTLY BLIND";
  $("watch-line").textContent = `${status.reads.toLocaleString("en-CA")} vehicles read, ${status.hits} ${status.hits === 1 ? "hit" : "hits"} since the start`;
  drawBanner();
}

function drawBanner() {
  const banner = $("banner");
  document.body.classList.toggle("lost", lostSince !== null);
  let says = "";
  if (lostSince !== null) {
    says = `NOT CONNECTED to Outrider since ${clock(lostSince)}: what is shown is old. Tones may still sound.`;
  } else if (status) {
    const dark = status.cameras.filter((camera) => camera.state === "not_reading");
    const why = (camera) => (camera.detail ? `${camera.id} (${camera.detail})` : camera.id);
    if (dark.length) says = `NOT READING: ${dark.map(why).join(", ")}`;
    else if (status.cameras.length === 0) says = "NOT READING: no camera is configured";
  }
  banner.hidden = !says;
  if (banner.textContent !== says) banner.textContent = says;
  const front = hits.get(shown);
  document.title = says ? `! ${says.split(":")[0]}` : front ? `${SHAPE[front.priority]} ${words(front.category)}` : "Outrider";
}

// --- connection

function connect() {
  const source = new EventSource("/events");
  const on = (name, does) => source.addEventListener(name, (event) => {
    heard = performance.now();
    const was = lostSince;
    lostSince = null;
    does(JSON.parse(event.data));
    if (was !== null) drawBanner();
  });
  on("hello", (hello) => {
    if (version !== null && version !== hello.version) location.reload();
    version = hello.version;
    $("unit").textContent = `Unit ${hello.vehicle}`;
  });
  on("status", (news) => {
    status = news;
    ahead = Date.parse(news.now) - Date.now();
    drawStatus();
    drawHotplates();
    drawAges();
  });
  on("hit", (card) => { add(card, true); drawBanner(); });
  on("earlier", (card) => { add(card, false); drawBanner(); });
  source.addEventListener("error", () => {
    lose();
    // The browser tries again by itself, except after an answer that is no stream.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
  });
}

function lose() {
  if (lostSince === null) lostSince = now();
  drawBanner();
}

setInterval(() => {
  if (performance.now() - heard > SILENCE_MS) lose();
  drawAges();
}, 500);

// --- looks and keys

const LOOKS = ["auto", "dark", "light", "night"];

function look(name) {
  if (name === "auto") delete document.documentElement.dataset.look;
  else document.documentElement.dataset.look = name;
  $("display-name").textContent = `◐ ${name}`;
  $("display").setAttribute("aria-label", `Display: ${name}. Change`);
  try { localStorage.setItem("look", name); } catch { /* a terminal without storage forgets */ }
}

function nextLook() {
  const at = LOOKS.indexOf(document.documentElement.dataset.look || "auto");
  look(LOOKS[(at + 1) % LOOKS.length]);
}

function step(by) {
  const order = [...document.querySelectorAll(".hit")].map((button) => button.dataset.id);
  if (order.length === 0) return;
  const at = order.indexOf(shown);
  show(order[at < 0 ? 0 : Math.min(order.length - 1, Math.max(0, at + by))]);
}

$("display").addEventListener("click", nextLook);
$("overview").addEventListener("click", overview);
$("picture").addEventListener("error", () => { $("picture-note").textContent = "no picture"; });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  // Who types a plate or a reason gives no commands.
  if (form && event.key !== "Escape") return;
  if (form) {
    event.preventDefault();
    closeForm();
    return;
  }
  const does = { n: nextLook, N: nextLook, h: () => openForm("add"), H: () => openForm("add"), Escape: overview, ArrowDown: () => step(1), ArrowUp: () => step(-1) }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

let kept = "auto";
try { kept = localStorage.getItem("look") || "auto"; } catch { /* as above */ }
const asked = new URLSearchParams(location.search).get("look");
look(LOOKS.includes(asked) ? asked : LOOKS.includes(kept) ? kept : "auto");
connect();
