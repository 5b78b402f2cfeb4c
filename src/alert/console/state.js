// What the car is doing, in words that an officer knows. In: `status` of the stream. Out: the row of chips on top,
// which names what is not well before what is, a tile for each camera, and the list of everything else.
"use strict";

const CALM = { working: "ok", starting: "warn", impaired: "warn", down: "bad", off: "" };
const URGENCY = { bad: 0, warn: 1, ok: 2, "": 3 };
const GIB = 1024 ** 3;
// Why a vehicle that was seen gave no plate.
const UNREAD = {
  small: "too small", blurred: "blurred", dark: "too dark", covered: "covered", glare: "glare", illegible: "illegible",
  implausible: "no plate", unsure: "unsure", brief: "too brief",
};

function chip(kind, name, value) {
  return { kind, name, value };
}

function partChip(name, part, working, down) {
  const says = { working, starting: "starting", impaired: part.detail, down: down || part.detail, off: "off" };
  return chip(CALM[part.state], name, says[part.state]);
}

// A line that stands in a row: the rest of it is in the list.
function brief(text) {
  const line = String(text);
  return line.length > 40 ? `${line.slice(0, 39).replace(/\s+\S*$/, "")} …` : line;
}

let lastChips = [];
let chipsWide = 0;

// What stands beside the row comes and goes.
new ResizeObserver(([row]) => {
  if (Math.abs(row.contentRect.width - chipsWide) > 1) drawChips(lastChips);
}).observe(document.getElementById("chips"));

function drawChips(chips) {
  lastChips = chips;
  const sorted = chips.map((one, at) => [one, at]).sort(([a, i], [b, j]) => URGENCY[a.kind] - URGENCY[b.kind] || i - j);
  const rows = sorted.map(([{ kind, name, value }]) => make("li", kind, name ? `${name} ` : "", make("b", "", brief(value))));
  const list = $("chips");
  chipsWide = list.clientWidth;
  refill(list, ...rows);
  let left = 0;
  const rest = make("li", "more");
  const overflows = () => list.lastElementChild.getBoundingClientRect().right > list.getBoundingClientRect().right + 0.5;
  while (rows.length > left && overflows()) {
    rows[rows.length - 1 - left].remove();
    left += 1;
    const gone = sorted.slice(sorted.length - left).map(([one]) => one.kind);
    const ill = gone.filter((kind) => kind === "bad" || kind === "warn").length;
    rest.textContent = ill ? `+${ill} not well` : `+${left}`;
    list.append(rest);
  }
}

// What a camera does, in its kind, its words, and the line below.
function camera(one) {
  const fps = `${Math.round(one.fps)} fps`;
  const skipped = Math.round(one.skipped);
  const [kind, says] = {
    reading: [one.detail ? "warn" : "ok", fps],
    starting: ["warn", "starting"],
    overloaded: ["warn", "OVERLOADED"],
    not_reading: ["bad", "NOT READING"],
  }[one.state];
  const lines = [];
  if (one.detail) lines.push(one.detail);
  if (one.state === "overloaded") lines.push(`${fps}, ${skipped} more skipped: cars can pass unread`);
  if (one.state !== "not_reading") lines.push(`${one.reads_a_minute} plates/min`);
  return { kind, says, lines };
}

// Vehicles that gave no plate, and why: the two commonest reasons of each camera.
function unread() {
  const of = (one) => {
    const why = Object.entries(one.unread || {}).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]).slice(0, 2);
    return why.length ? `${one.id} ${why.map(([name, count]) => `${count} ${UNREAD[name]}`).join(", ")}` : "";
  };
  return status.cameras.map(of).filter(Boolean).join("; ");
}

function drawCameras() {
  const tiles = [];
  const chips = [];
  for (const one of status.cameras) {
    const { kind, says, lines } = camera(one);
    chips.push(chip(kind, one.id, says));
    const tile = make("div", `camera ${one.state}`, make("h2", "", one.id), make("b", "", says), ...lines.map((line) => make("p", "", line)));
    tile.dataset.camera = one.id;
    tiles.push(tile);
  }
  refill($("cameras"), ...tiles);
  return chips;
}

function drawStatus() {
  const chips = drawCameras();
  const state = [];
  const where = position(status.position);
  const gps = status.parts.gps || { state: "off" };
  const gpsKind = gps.state === "working" && !where ? "warn" : CALM[gps.state];
  const accuracy = where && status.position.accuracy_m != null ? ` ±${Math.round(status.position.accuracy_m)} m` : "";
  const dimension = where && status.position.three_d ? "3D" : "2D";
  chips.push(chip(where ? gpsKind : gpsKind || "warn", "GPS", where ? dimension + accuracy : gps.state === "off" ? "off" : "NO FIX"));
  fact(state, "Position", where || `NO FIX${gps.detail ? `: ${gps.detail}` : ""}`, where ? "" : "warn");
  // Hotplates stand in a place of their own, and each has an end rather than an age.
  const lists = status.lists.filter((list) => list.name !== "hotplates");
  if (lists.length === 0) {
    chips.push(chip("bad", "Lists", "NONE"));
    const only = status.lists.length > 0 ? "only hotplates" : "nothing";
    fact(state, "Lists", `none in service: ${only} can be matched`, "bad");
  }
  for (const list of lists) {
    chips.push(chip(list.stale ? "warn" : "ok", `List ${list.name}`, since(list.source_time)));
    fact(state, "List", `${list.name}: ${list.entries.toLocaleString("en-CA")} plates, ${since(list.source_time)} old`
      + (list.stale ? ": OLD, confirm by radio" : ""), list.stale ? "warn" : "");
  }
  for (const [name, part] of Object.entries(status.parts)) {
    if (!name.startsWith("hotlist/")) continue;
    if (part.state === "down") chips.push(chip("bad", `List ${name.slice(8)}`, "NOT LOADED"));
    if (part.detail) fact(state, "List", `${name.slice(8)}: ${part.detail}`, CALM[part.state]);
  }
  fact(state, "Policy", status.policy === null ? "none from the agency: this car's own settings" : `version ${status.policy} in force`);
  const broker = status.parts.broker || { state: "off" };
  const queue = status.waiting > 0 ? `${status.waiting} waiting` : "";
  chips.push(partChip("Link", broker, queue || "ok", `offline${queue ? `, ${queue}` : ""}`));
  fact(state, "Link", [broker.detail || { working: "connected to the agency", off: "none configured: hits stay in the car" }[broker.state] || broker.state,
    queue ? `${queue} to be sent` : "every hit is sent"].slice(0, broker.state === "off" && !queue ? 1 : 2).join(", "), broker.state === "down" ? "warn" : "");
  drawMachine(chips, state);
  chips.push(chip("ok", "Non-hits", status.kept));
  fact(state, "Other plates", status.kept);
  const sound = status.parts.sound || { state: "off" };
  chips.push(partChip("Sound", sound, "on", "NONE"));
  fact(state, "Sound", sound.detail || { working: "ready", starting: "starting" }[sound.state] || "off", CALM[sound.state] === "ok" ? "" : "bad");
  drawMute();
  if (wrongClock()) chips.push(chip("warn", "Clock", wrongClock()));
  if (status.clock) {
    const by = { gps: "GPS", ntp: "the network", rtc: "a battery clock alone", unverified: "nobody" }[status.clock.source];
    const apart = status.clock.offset_ms === null ? "" : `, ${(status.clock.offset_ms / 1000).toFixed(1)} s from GPS`;
    const sure = ["gps", "ntp"].includes(status.clock.source) && !status.clock.disputed;
    fact(state, "Time", `vouched for by ${by}${apart}${status.clock.disputed ? ": CONTRADICTED" : ""}`, sure ? "" : "warn");
  }
  if (status.past.length) chips.push(chip("", "Seen before listed", status.past.length));
  for (const past of status.past) {
    const place = past.place ? `at ${past.place.map((degrees) => degrees.toFixed(5)).join(", ")}` : "NO FIX";
    fact(state, "Seen before listed", `${past.plate}, now on ${past.list} (${past.category}, ${past.jurisdiction}): the same characters ${since(past.seen)} ago, ${past.camera}, ${place}. No alert: a past sighting`);
  }
  for (const [name, part] of Object.entries(status.parts)) {
    if (["gps", "broker", "sound"].includes(name) || name.startsWith("hotlist/")) continue;
    // Their days are told above.
    if (name === "certificate" && status.car.certificate_ends) continue;
    if (name === "page_certificate" && status.car.page_certificate_ends) continue;
    if (part.state === "working" || part.state === "off") continue;
    chips.push(partChip(name, part, "", part.state === "down" ? "DOWN" : ""));
    fact(state, name, part.detail || part.state, CALM[part.state]);
  }
  fact(state, "Seen, not read", unread());
  refill($("state"), ...state);
  drawChips(chips);
  drawWord();
  drawBanner();
}

// How long a certificate of the car holds, and what comes to an end with it. Its part says how bad that is.
function drawCertificate(chips, state, name, part, ends, lost) {
  if (!ends) return;
  const days = Math.floor((Date.parse(ends) - now()) / 86400000);
  const judged = CALM[(status.parts[part] || {}).state];
  const kind = days < 0 || judged === "bad" ? "bad" : judged === "warn" ? "warn" : "";
  const says = days < 0 ? `HAS ENDED: ${lost}` : `${days} days left`;
  if (kind) chips.push(chip(kind, name, says));
  fact(state, name, says, kind);
}

// What the car's own computer has: room on the disk, and days until its certificates end.
function drawMachine(chips, state) {
  const car = status.car || {};
  drawCertificate(chips, state, "Certificate", "certificate", car.certificate_ends, "no link");
  drawCertificate(chips, state, "Page certificate", "page_certificate", car.page_certificate_ends, "this page will not open again");
  if (car.disk_free != null) {
    const low = car.disk_free < car.disk_reserve;
    const free = car.disk_free >= GIB ? `${(car.disk_free / GIB).toFixed(1)} GB free` : `${Math.round(car.disk_free / 1024 / 1024)} MB free`;
    if (low) chips.push(chip("warn", "Disk", `ALMOST FULL, ${free}`));
    fact(state, "Disk", low ? `ALMOST FULL, ${free}: only hits are kept` : free, low ? "warn" : "");
  }
}

function drawMute() {
  const muted = (status.car && status.car.muted) || [];
  $("mute").hidden = muted.length === 0;
  $("mute").textContent = muted.length ? `Muted: ${muted.join(", ")}` : "";
  $("mute").setAttribute("aria-label", `no tone for ${muted.join(" and ")} alerts`);
  const sounding = (status.car && status.car.sounding) || [];
  $("quiet").hidden = sounding.length === 0;
}

function drawWord() {
  const dark = status.cameras.filter((one) => one.state === "not_reading");
  const starting = status.cameras.some((one) => one.state === "starting");
  const slow = status.cameras.some((one) => one.state === "overloaded");
  const word = $("watch-word");
  // A car without any camera watches nothing.
  const blind = dark.length > 0 || status.cameras.length === 0;
  word.className = blind ? "bad" : starting || slow ? "warn" : "";
  word.textContent = !blind ? (starting ? "STARTING" : slow ? "OVERLOADED" : "WATCHING")
    : dark.length === status.cameras.length ? "NOT READING" : "PARTLY BLIND";
  $("watch-line").textContent = `${status.reads.toLocaleString("en-CA")} vehicles read, ${status.hits} ${status.hits === 1 ? "hit" : "hits"} since the start`;
}
