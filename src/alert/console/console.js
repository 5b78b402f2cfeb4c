// The officer's page. In: server-sent events `hello`, `status`, `hit`, `again` (a hit of this run, to a page that
// comes later), `earlier` (one of before), `standing`, `gone`. Out: text nodes only; nothing that arrives is ever treated as
// markup. It sends hotplates and verdicts, and nothing else; who does is in session.js.
"use strict";

// A status comes every second; this much silence is a lost connection.
const SILENCE_MS = 2500;
// A hit that arrives while the page was away is still raised when it is this fresh.
const FRESH_S = 120;
// A shown hit that is not high is left in front of one that is as urgent for this long.
const HOLD_MS = 20000;
// A press this soon after what is pressed has changed was meant for what stood there before.
const SETTLE_MS = 600;
// A clock this far from the satellites' is said to be wrong.
const MOST_APART_MS = 2000;
// Hits that the page knows, and rows that it draws of each list: what a hit costs is the same at the ten thousandth.
const KEPT = 200;
const ROWS = 24;
// Letters of a reason on the card; the rest of it stands under "More".
const GLANCE = 64;

const $ = (id) => document.getElementById(id);
const RANK = { low: 0, medium: 1, high: 2 };
const SHAPE = { low: "● LOW", medium: "◆ MEDIUM", high: "▲ HIGH" };

const hits = new Map(); // by id, in order of arrival
const raised = new Set(); // ids of this run of the daemon, or fresh
const pictures = new Map(); // by id: the elements that hold the plate and the vehicle
let shown = null; // id of the hit in front
let issuers = {}; // names of states and provinces, from the daemon
let officer = ""; // whose number it is, while somebody is signed in and not locked (session.js)
let compared = {}; // what was compared with the picture of the hit in front
let changedAt = 0; // performance.now() when the moves changed
let drawnMoves = ""; // the moves as drawn last
let form = null; // "add", or the id of the hotplate that is to go
let running = ""; // the hotplates as drawn last
let more = false; // what is known besides is shown in the place of the plates
let shownAt = 0; // performance.now() when it came there
let status = null;
let heard = performance.now();
let lostSince = null;
let full = false;
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

function region(code) {
  return Object.hasOwn(issuers, code) ? issuers[code] : code;
}

// What issues plates there, in the word of that country.
function issuerOf(card) {
  const code = card.jurisdiction_listed || card.jurisdiction_read || "";
  return code.startsWith("CA-") ? "province" : code.startsWith("US-") ? "state" : "issuer";
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

function differences(off) {
  return off.map((pair) => `${pair.read || "none"} read, ${pair.listed || "none"} listed`).join("; ");
}

function differs(card) {
  return card.pairs.some((pair) => pair.mark === "differs");
}

function sign(card) {
  const off = card.pairs.filter((pair) => pair.mark === "differs");
  const folded = card.pairs.filter((pair) => pair.mark === "folded");
  if (card.match_kind === "wildcard") {
    return ["alike", `≈ PARTIAL PLATE: the list has ${text(card, "listed")}, compare what it leaves open`];
  }
  if (card.jurisdictions === "other") {
    const lowered = card.listed_priority !== card.priority ? `: told as ${card.priority}, not ${card.listed_priority}` : "";
    const besides = off.length ? `; ${differences(off)}` : "";
    return ["other", `≠ OTHER JURISDICTION: plate of ${region(card.jurisdiction_read)} (${Math.round(card.jurisdiction_confidence * 100)} %), list says ${region(card.jurisdiction_listed)}${lowered}${besides}`];
  }
  if (card.match_kind !== "exact" || off.length > 0) {
    return ["alike", `≈ APPROXIMATE: ${differences(off) || "a less likely reading"}`];
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

// What to beware of and what to do belong to the listed vehicle. Until somebody has compared, nobody knows that this is
// it: what the entry asks for is no order yet, of a plate that was read as another state's least of all; and a hit that was
// rejected asks for nothing.
function drawBeware(card) {
  const stand = stands(card);
  // Nothing is to be done any more; what was to beware of may still be.
  const ended = stand === "ended";
  const other = card.jurisdictions === "other" && stand !== "confirmed" && !ended;
  $("beware").hidden = stand === "rejected";
  const caution = other ? "Of the listed vehicle" : "\u26a0 CAUTION";
  const confirmed = card.standing.grounds ? "DO" : "DISPATCH FIRST, THEN";
  const action = other ? `CONFIRM ITS ${issuerOf(card).toUpperCase()} FIRST, THEN` : stand === "confirmed" ? confirmed : "CONFIRM FIRST, THEN";
  // What is not there is said: at a glance nobody can tell an empty place from one that was not filled.
  $("caution").textContent = card.caution ? `${caution}: ${card.caution}` : "No caution listed";
  $("caution").className = !card.caution ? "none" : other || ended ? "" : "warns";
  $("action").textContent = ended ? "Nothing more to do" : card.action ? `${action}: ${card.action}` : "No instruction listed";
  $("action").className = card.action && !ended ? "" : "none";
}

function drawCard() {
  // Whatever else comes in front ends it.
  if (training && shown !== training.id) leaveTraining("Training has ended.");
  const card = hits.get(shown);
  document.body.classList.toggle("fronted", Boolean(card) && !form);
  $("card").hidden = !card || Boolean(form);
  $("watch").hidden = Boolean(card || form);
  $("form").hidden = !form || form in SECTIONS;
  for (const [what, section] of Object.entries(SECTIONS)) $(section).hidden = form !== what;
  document.body.classList.toggle("full", form === "shift" || form === "cameras");
  $("resume").hidden = !suspended;
  // What was being filled in when this hit came is one key away; so is everything else.
  // A high hit that nobody has judged is not left for the list.
  const stays = Boolean(card) && !form && urgent(card) && raised.has(shown);
  drawLarge(card);
  // "Back" of the large picture has the key.
  if (large) $("resume").hidden = true;
  $("overview").hidden = !card && !form || Boolean(suspended) || stays || form === "shift" || Boolean(large);
  if (!card) return;
  $("card").dataset.priority = card.priority;
  $("card").dataset.hit = card.id;
  $("category").textContent = words(card.category);
  $("card").classList.toggle("long", card.category.length > 24);
  $("card").dataset.stands = stands(card);
  $("priority").textContent = level(card);
  const [bold, rest] = standingWords(card);
  refill($("standing"), make("b", "", bold), rest ? ` ${rest}` : "", standingSays(card));
  drawBeware(card);
  for (const side of ["read", "listed"]) {
    $(side).style.setProperty("--places", Math.max(6, card.pairs.length));
    refill($(side), ...plate(side, card));
    $(side).setAttribute("aria-label", `${side}: ${[...text(card, side)].join(" ")}`);
  }
  const sure = read => read ? `, jurisdiction ${Math.round(card.jurisdiction_confidence * 100)} %` : "";
  const weakest = `weakest character ${Math.round(card.weakest * 100)} %${sure(card.jurisdiction_read)}`;
  const { jurisdiction_read: read, jurisdiction_listed: listed } = card;
  $("read-from").classList.toggle("unread", !read);
  $("read-from").textContent = read ? region(read) : `${issuerOf(card)} not read`;
  $("listed-from").classList.toggle("unread", !listed);
  $("listed-from").textContent = listed ? region(listed) : `${issuerOf(card)} not stated`;
  const [kind, says] = sign(card);
  $("sign").className = `sign ${kind}`;
  refill($("sign"), says);
  // Once a person has compared it, what the camera could not is no longer to be done.
  if (!["confirmed", "ended"].includes(stands(card)) && kind !== "other" && card.syntax !== "incompatible" && !(card.jurisdiction_read && card.jurisdiction_listed)) {
    $("sign").append(make("span", "", ` · ${issuerOf(card)} not compared`));
  }
  if (card.syntax === "incompatible") {
    $("sign").append(make("span", "", ` · CHECK JURISDICTION: unusual for ${region(card.jurisdiction_listed)}`));
  }
  if (card.odds) $("sign").append(make("small", "", ` · ${card.odds}`));
  if (card.stale) $("sign").append(make("span", "", " · STALE LIST: confirm first"));
  drawPictures(card);
  drawGlance(card);
  const facts = [];
  const caution = status && status.lists.some((l) => l.name === card.list && l.stale);
  fact(facts, "Vehicle", card.vehicle || "not stated");
  fact(facts, "Reason", card.reason);
  fact(facts, "Caution", card.caution, "warn");
  fact(facts, "Do", card.action);
  fact(facts, "Source", card.source);
  fact(facts, "Case", card.case);
  fact(facts, "List", listAge(card), caution ? "warn" : "");
  const where = position(card.position);
  fact(facts, "Where", where || "NO FIX: position not known", where ? "" : "warn");
  fact(facts, "Seen", `${clock(card.seen)}, ${card.camera}, ${card.frames} frames, ${weakest}`);
  fact(facts, "Picture", `plate as seen, ${card.plate_px} px wide; press it, or P, to enlarge`);
  fact(facts, "Clock", wrongClock(), "warn");
  for (const other of card.others) {
    const alike = other.match_kind === "exact" ? "=" : "≈";
    const from = other.jurisdiction ? region(other.jurisdiction) : "jurisdiction not stated";
    fact(facts, "Also", `${alike} ${other.listed} ${from}: ${words(other.category)} (${other.list})`, "warn");
  }
  refill($("facts"), ...facts);
  document.querySelector(".compare").hidden = more || isLarge("context");
  for (const part of [$("sign"), $("glance")]) part.hidden = more || isLarge();
  if (more || large) $("beware").hidden = true;
  $("facts").hidden = !more;
  drawMoves();
  drawAges();
  fitCard();
}

// Each hit has elements of its own, asked for when the hit arrives: a lost connection takes no picture away.
function picturesOf(card) {
  if (!pictures.has(card.id)) {
    const fetched = (name, alt) => {
      const image = new Image();
      image.alt = alt;
      image.addEventListener("load", () => { if (card.id === shown) drawPictures(card); });
      image.addEventListener("error", () => { image.dataset.failed = "yes"; if (card.id === shown) drawPictures(card); });
      image.src = `/hit/${encodeURIComponent(card.id)}/${name}.jpg`;
      return image;
    };
    pictures.set(card.id, {
      plate: fetched("plate", "Picture of the plate as the camera saw it"),
      context: fetched("context", "Picture of the vehicle; other plates are covered"),
    });
  }
  return pictures.get(card.id);
}

function drawPictures(card) {
  const { plate, context } = picturesOf(card);
  putPicture("picture", plate);
  $("picture").closest("figure").classList.toggle("none", Boolean(plate.dataset.failed));
  $("picture-note").textContent = plate.dataset.failed ? "no picture" : "";
  putPicture("context", context);
  $("context").closest("figure").hidden = !context.naturalWidth || more || isLarge("plate");
  fitCard();
}

// Puts an image in the place of the one that has this id, in a frame of its shape.
function putPicture(id, image) {
  const old = $(id);
  const figure = old.closest("figure");
  if (old !== image) {
    old.removeAttribute("id");
    image.id = id;
    old.replaceWith(image);
  }
  const { naturalWidth: wide, naturalHeight: high } = image;
  figure.style.setProperty("--aspect", wide && high ? String(Math.min(5, Math.max(0.8, wide / high))) : "2");
}

// What is needed to know the car by, in a line or two.
function drawGlance(card) {
  const short = card.reason.length > GLANCE ? `${card.reason.slice(0, GLANCE).replace(/\s+\S*$/, "")} …` : card.reason;
  $("vehicle").textContent = card.vehicle || "vehicle not stated";
  $("reason").textContent = short;
  $("also").textContent = card.others.length ? `ON ${card.others.length + 1} LISTS: see More` : "";
}

// The officer has seen the hit in front, and its tone need not come again; another one that sounds comes in front.
function quiet() {
  const sounding = (status && status.car && status.car.sounding) || [];
  if (sounding.includes(shown)) answer(shown);
  else if (sounding.length && hits.has(sounding[0])) show(sounding[0]);
}

function answer(hit) {
  const sounding = (status && status.car && status.car.sounding) || [];
  if (!sounding.includes(hit)) return;
  post("/hits/answer", { hit }).catch(() => {});
}

function toggleMore() {
  if (!hits.has(shown) || form) return;
  more = !more;
  large = null;
  changedAt = performance.now();
  drawCard();
}

// Why the time told may be wrong; nothing while somebody vouches for it and nobody contradicts.
function wrongClock() {
  if (!status || !status.clock) return "";
  const { source, disputed, offset_ms: off } = status.clock;
  if (off !== null && Math.abs(off) > MOST_APART_MS) return `${Math.abs(off / 1000).toFixed(1)} s ${off > 0 ? "AHEAD OF" : "BEHIND"} GPS`;
  if (disputed) return "CONTRADICTED BY GPS";
  return ["gps", "ntp"].includes(source) ? "" : "NOT VOUCHED FOR: times may be wrong";
}

// --- what a hit is

function stands(card) {
  if (card.standing.rejected) return "rejected";
  if (!card.standing.is) return "open";
  return card.standing.came ? "ended" : "confirmed";
}

function level(card) {
  if (stands(card) === "ended") return "✓ ENDED";
  return card.standing.rejected ? `■ ${words(card.standing.is).toUpperCase()}` : SHAPE[card.priority];
}

// Whether it stays in front until somebody has judged it.
function urgent(card) {
  return Boolean(card) && card.priority === "high" && !card.standing.is;
}

function move(kind, says, key, does) {
  const button = make("button", kind, says, key ? make("kbd", "", key) : "");
  button.type = "button";
  button.addEventListener("click", does);
  return button;
}

function compare(what) {
  const card = hits.get(shown);
  if (!card || form || more || large || !card.standing.next.includes("confirmed") || unsettled()) return;
  answer(shown);
  if (!officer) { askOfficer(); return; }
  compared[what] = !compared[what];
  drawMoves();
  if (compared.characters && compared.jurisdiction) judge("confirmed");
}

function drawMoves() {
  const card = hits.get(shown);
  if (!card) return;
  const next = card.standing.next;
  const state = JSON.stringify([shown, next, compared, asking, officer, more, large]);
  if (state === drawnMoves) return;
  drawnMoves = state;
  const moves = [];
  const issuer = issuerOf(card);
  if (large) {
    moves.push(...largeMoves());
  } else if (more) {
    // Nothing is judged where the picture is not in sight.
  } else if (asking) {
    moves.push(...askedMoves(card, issuer));
  } else {
    if (next.includes("confirmed")) {
      for (const [what, says, key] of [["characters", "Characters match", "C"], ["jurisdiction", `${issuer[0].toUpperCase()}${issuer.slice(1)} matches`, "J"]]) {
        // Green invites; where the texts differ, nothing invites to say that they match.
        const kind = what === "characters" && differs(card) ? "sight doubt" : "sight";
        const button = move(kind, `${says} `, key, () => compare(what));
        const box = make("span", "", compared[what] ? "☑" : "☐");
        box.setAttribute("aria-hidden", "true");
        button.firstChild.after(box);
        button.setAttribute("aria-pressed", String(Boolean(compared[what])));
        button.dataset.move = what;
        // What the second of two ticks does is said before it is made.
        if (!compared[what] && (compared.characters || compared.jurisdiction)) {
          button.classList.add("commits");
          button.append(make("span", "then", "confirms it"));
        }
        moves.push(button);
      }
    }
    moves.push(...furtherMoves(card, issuer));
  }
  const turn = move("turn", more ? "Back" : "More", "M", toggleMore);
  turn.setAttribute("aria-pressed", String(more));
  if (!large) moves.push(turn);
  refill($("moves"), ...moves);
  fitCard();
}

function unsettled() {
  return performance.now() - changedAt < SETTLE_MS;
}

// Nobody judges unnamed: the hit comes back once somebody has signed in.
function askOfficer() {
  openForm("sign-in");
}

let judging = false;

async function judge(word, besides) {
  const hit = shown;
  if (!officer) { askOfficer(); return; }
  if (judging || unsettled() && word !== "confirmed") return;
  judging = true;
  $("verdict-says").textContent = "";
  const asks = { hit, word };
  if (word === "confirmed") asks.compared = compared;
  Object.assign(asks, besides);
  try {
    if (isPractice(hit)) {
      delete asks.hit;
      stand(hit, learn(await trainingPost("judge", asks)));
      return;
    }
    const answer = await post("/hits/judge", asks);
    if (!answer.ok) throw new Error((await answer.text()).trim());
    stand(hit, await answer.json());
  } catch (error) {
    if (hit === shown) $("verdict-says").textContent = error.message || "Not done: Outrider does not answer.";
  } finally {
    judging = false;
    // What was compared serves one attempt.
    if (hit === shown) fresh();
    drawCard();
  }
}

function fresh() {
  compared = {};
  asking = "";
  changedAt = performance.now();
}

// What somebody said of a hit, on this page, another one or a command line.
function stand(id, standing) {
  const card = hits.get(id);
  if (!card) return;
  card.standing = standing;
  dispatchStands(card);
  if (standing.is) waiting.delete(id);
  else if (urgent(card) && id !== shown) waits(card, true);
  if (id === shown) {
    fresh();
    $("verdict-says").textContent = "";
    // Judged: what somebody was filling in when it came goes on.
    if (suspended && standing.is) resume();
  }
  drawCard();
  drawLists();
  drawBanner();
}

// The car keeps these no longer: hits past their retention, and pictures past theirs.
function gone({ hits: over, pictures: bare }) {
  for (const id of over) {
    hits.delete(id);
    for (const known of [raised, waiting, pictures]) known.delete(id);
    if (id !== shown) continue;
    if (large) enlarge(null);
    shown = null;
    // What somebody was filling in when it came goes on.
    if (suspended) resume();
  }
  for (const id of bare) {
    pictures.delete(id);
    if (hits.has(id)) picturesOf(hits.get(id));
  }
  drawCard();
  drawLists();
  drawBanner();
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
    make("span", "what", `${level(card)} ${words(card.category)}`), ago);
  button.dataset.stands = stands(card);
  button.type = "button";
  button.dataset.id = card.id;
  if (card.id === shown) button.setAttribute("aria-current", "true");
  button.addEventListener("click", () => show(card.id));
  return make("li", "", button);
}

function drawLists() {
  const newest = [...hits.values()].filter((card) => !isPractice(card.id)).reverse();
  const unseen = queue();
  const focused = document.activeElement && document.activeElement.dataset.id;
  refill($("waiting"), ...unseen.slice(0, ROWS).map(entry));
  const seen = newest.filter((card) => !waiting.has(card.id));
  refill($("earlier"), ...seen.slice(0, ROWS).map(entry));
  $("none").hidden = newest.length > 0;
  drawNext(unseen);
  drawAges();
  if (focused) {
    const again = [...document.querySelectorAll(".hit")].find((b) => b.dataset.id === focused);
    if (again) again.focus();
  }
  fitAside();
}

function drawAges() {
  for (const element of document.querySelectorAll(".ago")) {
    element.textContent = `${since(element.dataset.seen)} ago · ${element.dataset.after}`;
  }
  const card = hits.get(shown);
  if (card) $("when").textContent = `${since(card.seen)} ago, ${card.camera} camera`;
  $("clock").textContent = new Date(now()).toLocaleTimeString("en-GB");
}

function show(id) {
  // What was typed stays, and comes back once this hit is acknowledged.
  suspend();
  more = false;
  large = null;
  takesTurn(id);
  leave(id);
  shown = id;
  fresh();
  $("verdict-says").textContent = "";
  shownAt = performance.now();
  waiting.delete(id);
  $("card").classList.remove("fresh");
  drawCard();
  drawLists();
}

// A high hit that nobody has judged waits when another comes in front.
function leave(next) {
  if (shown !== next && urgent(hits.get(shown)) && raised.has(shown)) waits(hits.get(shown), true);
}

function overview() {
  if (large) {
    enlarge(null);
    return;
  }
  if (suspended) {
    resume();
    return;
  }
  form = null;
  if (urgent(hits.get(shown)) && raised.has(shown)) {
    $("verdict-says").textContent = "Not judged yet: compare it with the picture, or dismiss it.";
    drawCard();
    return;
  }
  shown = null;
  drawCard();
  drawLists();
}

function add(card, how) {
  const known = hits.has(card.id);
  hits.set(card.id, card);
  picturesOf(card);
  forget(card.id);
  const young = now() - Date.parse(card.seen) < FRESH_S * 1000;
  // One of this run that is high stays raised until it is judged, on pages that come later too.
  const isRaised = how === "hit" || young || (how === "again" && urgent(card));
  if (isRaised) raised.add(card.id);
  // A real one ends what was practised on, whatever its priority.
  if (isRaised && !known && !card.standing.is) leaveTraining("Training has ended: a hit has come.");
  if (known || !isRaised || card.standing.is) {
    if (card.id === shown) drawCard();
    drawLists();
    return;
  }
  waits(card, false);
  $("spoken").textContent = `${card.priority} alert: ${words(card.category)}, plate ${[...text(card, "read")].join(" ")}. Unverified.`
    + (card.caution ? ` Caution: ${card.caution}.` : "");
  const front = hits.get(shown);
  const held = performance.now() - shownAt < HOLD_MS;
  const above = front ? RANK[card.priority] - RANK[front.priority] : 1;
  const mayReplace = !front || above > 0 || Boolean(front.standing.is)
    || (above === 0 && !urgent(front) && !held);
  // Nothing comes in front of a high hit that waits to be judged, but that hit itself.
  const highWaits = [...waiting.keys()].some((id) => id !== card.id && urgent(hits.get(id)));
  if (mayReplace && !(highWaits && card.priority !== "high")) {
    show(card.id);
    void $("card").offsetWidth; // starts the animation anew
    $("card").classList.add("fresh");
  } else {
    drawLists();
  }
}

// Drops the oldest of those that nobody waits for: not the one in front, not a high one that is to be judged.
function forget(newest) {
  for (const [id, card] of hits) {
    if (hits.size <= KEPT) return;
    if (id === shown || id === newest || urgent(card) && raised.has(id) && hits.size <= 2 * KEPT) continue;
    hits.delete(id);
    for (const known of [raised, waiting, pictures]) known.delete(id);
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
  if (form && ofHotplate(form) && !hotplate(form)) closeForm();
}

function openForm(what) {
  if (!status || !(what in SECTIONS) && !status.hotplates || !mayOpen(what)) return;
  form = what;
  if (what === "shift" || what === "cameras") {
    drawCard();
    if (what === "shift") beginsShift(); else lookOn();
    return;
  }
  if (what === "sign-in") {
    $("sign-in-says").textContent = "";
    drawSignIn();
    drawCard();
    firstField().focus();
    return;
  }
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
    const answer = await post(path, what);
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

// --- banner

function drawBanner() {
  const banner = $("banner");
  document.body.classList.toggle("lost", lostSince !== null);
  let says = "";
  if (full) {
    says = "NOT CONNECTED: too many pages are open, and this is the oldest. Load it again to go on here.";
  } else if (lostSince !== null) {
    says = `NOT CONNECTED to Outrider since ${clock(lostSince)}: what is shown is old. Tones may still sound.`;
  } else if (status) {
    const dark = status.cameras.filter((camera) => camera.state === "not_reading");
    const why = (camera) => (camera.detail ? `${camera.id} (${brief(camera.detail)})` : camera.id);
    const sound = status.parts.sound;
    if (dark.length) says = `NOT READING: ${dark.map(why).join(", ")}`;
    else if (status.cameras.length === 0) says = "NOT READING: no camera is configured";
    // The car is about to go dark, and a turn of the key keeps it.
    const ignition = status.parts.ignition;
    if (ignition && ignition.detail && ignition.detail.startsWith("ignition is off")) {
      says = [says, ignition.detail.replace("ignition is off", "IGNITION IS OFF")].filter(Boolean).join(" · ");
    }
    if (sound && sound.state === "down") says = [says, "NO SOUND: watch this screen"].filter(Boolean).join(" · ");
  }
  banner.hidden = !says;
  if (banner.textContent !== says) banner.textContent = says;
  const front = hits.get(shown);
  document.title = says ? `! ${says.split(":")[0]}` : front ? `${level(front)} ${words(front.category)}` : "Outrider";
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
    issuers = hello.issuers;
    $("unit").textContent = `Unit ${hello.vehicle}`;
    if (hello.screen) glass = hello.screen;
    sizeForTheEye();
    // What the connection took away is asked for again.
    for (const [id, { plate, context }] of pictures) {
      if (hits.has(id) && (plate.dataset.failed || context.dataset.failed)) { pictures.delete(id); picturesOf(hits.get(id)); }
    }
    if (hits.has(shown)) drawPictures(hits.get(shown));
    nobodyDrives = hello.nobody_drives;
    askSession();
  });
  on("status", (news) => {
    status = news;
    ahead = Date.parse(news.now) - Date.now();
    drawStatus();
    drawHotplates();
    drawAges();
    sessionStatus(news);
  });
  for (const how of ["hit", "again", "earlier"]) on(how, (card) => { add(card, how); drawBanner(); });
  on("standing", (news) => stand(news.hit, news.standing));
  on("gone", gone);
  source.addEventListener("full", () => {
    // A newer page has this one's seat; coming back would push another out.
    source.close();
    full = true;
    lose();
  });
  source.addEventListener("error", () => {
    if (full) return;
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
  queueAges();
}, 500);

// --- looks and keys

const LOOKS = ["auto", "dark", "light", "night"];
const bright = matchMedia("(prefers-color-scheme: light)");
let chosen = "auto";

function look(name) {
  chosen = name;
  document.documentElement.dataset.look = name === "auto" ? (bright.matches ? "light" : "dark") : name;
  refill($("display-name"), "◐", make("span", "", ` ${name}`));
  $("display").title = `Display: ${name}. Change`;
  try { localStorage.setItem("look", name); } catch { /* a terminal without storage forgets */ }
}

function nextLook() {
  look(LOOKS[(LOOKS.indexOf(chosen) + 1) % LOOKS.length]);
}

bright.addEventListener("change", () => { if (chosen === "auto") look("auto"); });

function step(by) {
  const order = [...document.querySelectorAll(".hit")].map((button) => button.dataset.id);
  if (order.length === 0) return;
  const at = order.indexOf(shown);
  show(order[at < 0 ? 0 : Math.min(order.length - 1, Math.max(0, at + by))]);
}

$("display").addEventListener("click", nextLook);
$("overview").addEventListener("click", overview);
$("next").addEventListener("click", nextWaiting);
$("quiet").addEventListener("click", quiet);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  // Who was typing when a hit came goes on typing: no letter of it is a command.
  if (suspended && event.key !== "Escape") return;
  // Who types a plate or a reason gives no commands.
  if (form && event.key !== "Escape") return;
  // The start of a shift is gone through, or signed out of.
  if (form === "shift") return;
  if (form) {
    event.preventDefault();
    closeForm();
    return;
  }
  const does = { n: nextLook, N: nextLook, v: () => openForm("cameras"), V: () => openForm("cameras"), h: () => openForm("add"), H: () => openForm("add"), Escape: overview, ArrowDown: () => step(1), ArrowUp: () => step(-1),
    w: nextWaiting, W: nextWaiting, p: nextPicture, P: nextPicture, m: toggleMore, M: toggleMore, a: quiet, A: quiet, c: () => compare("characters"), C: () => compare("characters"), j: () => compare("jurisdiction"), J: () => compare("jurisdiction") }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});

let kept = "auto";
try { kept = localStorage.getItem("look") || "auto"; } catch { /* as above */ }
const asked = new URLSearchParams(location.search).get("look");
look(LOOKS.includes(asked) ? asked : LOOKS.includes(kept) ? kept : "auto");
connect();
