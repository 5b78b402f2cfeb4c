// The supervisor's and auditor's page. In: rows that `POST /records/...` gives, and the stream of the alert page, for who is
// signed in, whether the car drives, and a hit that comes meanwhile. Out: text nodes only; nothing that arrives is ever
// treated as markup, and nothing that was chosen stands in an address.
"use strict";

// Above this no text field opens: 8 km/h.
const DRIVING_MPS = 8 / 3.6;
const SHAPE = { low: "● LOW", medium: "◆ MEDIUM", high: "▲ HIGH" };
const LOOKS = ["dark", "light", "night"];
const DAY_MS = 86400000;

const $ = (id) => document.getElementById(id);

let session = { users: true, who: null, csrf: "" };
let sessionSeen = null;
let moving = false;
let nobodyDrives = false;
let tab = "hits";
let asked = 0; // counts what was asked, so that a late answer draws nothing
let figures = null; // drawn anew when the window changes
let choices = { hits: {}, "look-ups": {}, log: {} }; // what may be chosen in each tab
let chosen = { hits: {}, "look-ups": {}, log: {}, figures: {} };

function make(tag, kind, ...inside) {
  const element = document.createElement(tag);
  if (kind) element.className = kind;
  for (const part of inside) element.append(part);
  return element;
}

function words(text) {
  return String(text).replaceAll("_", " ");
}

// What counters call it, as the card says it.
function standingName(word) {
  return { unreviewed: "unverified", confirmed: "confirmed by sight", dispatch_confirmed: "confirmed by dispatch" }[word] || words(word);
}

function when(time) {
  const date = new Date(time);
  return `${date.toLocaleDateString("en-CA")} ${date.toLocaleTimeString("en-GB")}`;
}

function day(date) {
  return date.toLocaleDateString("en-CA");
}

// --- who looks

async function askSession() {
  try {
    const answer = await fetch("/session", { cache: "no-store" });
    if (answer.ok) takeSession(await answer.json());
  } catch { /* said with the next question */ }
}

function takeSession(news) {
  const before = session.who && session.who.number;
  session = news;
  const who = session.who;
  $("who").textContent = who ? `${who.number} ${who.locked ? "LOCKED" : who.roles[0]}` : "";
  const is = who && !who.locked ? who.number : null;
  drawOpen();
  // Not while it is closed: what is refused then would not be asked again.
  if (is && !$("open").hidden && (is !== before || !drawn)) ask();
}

let drawn = false;

// Whether the records are open now; says why not.
function drawOpen() {
  const who = session.who;
  let why = "";
  if (moving) why = "Driving: records open when the car stands, below 8 km/h.";
  else if (!session.users) why = "This car's policy names nobody who may sign in: records are shown to nobody.";
  else if (!who) why = "Nobody is signed in: sign in on the alert page, then come back.";
  else if (who.locked) why = `${who.number} is locked: give the PIN on the alert page, then come back.`;
  $("closed").hidden = !why;
  $("closed").textContent = why;
  $("open").hidden = Boolean(why);
  $("tabs").hidden = Boolean(why);
  if (why) {
    // What others did stays on no screen that nobody answers for.
    drawn = false;
    clear();
  }
}

function clear() {
  for (const id of ["summary", "rows", "says", "exported"]) $(id).replaceChildren();
  $("picture-of").hidden = true;
  $("older").hidden = true;
  figures = null;
}

// --- filters

function field(name, says, kind) {
  const input = make("input");
  input.name = name;
  input.type = kind;
  input.value = chosen[tab][name] || "";
  return make("label", "", says, input);
}

function choose(name, says, options) {
  const select = make("select");
  select.name = name;
  select.append(new Option("all", ""));
  for (const [value, text] of options) select.append(new Option(text, value));
  select.value = chosen[tab][name] || "";
  return make("label", "", says, select);
}

// A number with its noun.
function many(n, noun) {
  return `${whole(n)} ${noun}${n === 1 ? "" : "s"}`;
}

function same(list) {
  return (list || []).map((one) => [one, words(one)]);
}

function defaults() {
  const now = new Date();
  const back = tab === "figures" ? 365 : 7;
  return { from: day(new Date(now - back * DAY_MS)), to: day(now) };
}

function drawFilter() {
  if (!chosen[tab].from) Object.assign(chosen[tab], defaults());
  const known = choices[tab] || {};
  const fields = [field("from", "From", "date"), field("to", "To", "date")];
  if (tab === "hits") {
    fields.push(
      choose("category", "Category", same(known.categories)),
      choose("standing", "Standing", (known.standings || []).map((one) => [one, standingName(one)])),
      choose("list", "List", (known.lists || []).map((one) => [one, one])),
      choose("camera", "Camera", (known.cameras || []).map((one) => [one, one])),
    );
  } else if (tab === "look-ups") {
    fields.push(choose("reason", "Reason", (known.codes || []).map(([code]) => [code, words(code)])), choose("refused", "Answer", [["false", "given"], ["true", "refused"]]));
  } else if (tab === "log") {
    fields.push(choose("kind", "Kind", same(known.kinds)), choose("role", "By", same(["officer", "supervisor", "auditor", "maintainer", "system", "shell", "key", "remote"])));
  }
  const go = make("button", "", "Show");
  go.type = "submit";
  $("filter").replaceChildren(...fields, go);
}

function takeFilter() {
  chosen[tab] = Object.fromEntries(new FormData($("filter")));
}

// The filter as it is sent: what is not chosen is left out.
function filter() {
  const { from, to, ...rest } = chosen[tab];
  if (tab === "figures") return { from, to };
  const span = {};
  if (from) span.from = new Date(`${from}T00:00:00`).toISOString();
  if (to) span.to = new Date(new Date(`${to}T00:00:00`).getTime() + DAY_MS).toISOString();
  const wanted = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== ""));
  if (tab === "hits") return { seen: span, ...wanted };
  if (tab === "look-ups") {
    if (wanted.refused) wanted.refused = wanted.refused === "true";
    return { made: span, ...wanted };
  }
  return { written: span, ...wanted };
}

// --- what is shown

async function ask(further) {
  const number = asked += 1;
  drawn = true;
  if (!further) { clear(); drawFilter(); }
  $("says").textContent = "";
  try {
    const answer = await post(`/records/${tab}`, further ? { ...filter(), ...further } : filter());
    if (number !== asked) return;
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const found = await answer.json();
    if (number !== asked) return;
    ({ hits: drawHits, "look-ups": drawLookUps, log: drawLog, figures: drawFigures })[tab](found, Boolean(further));
    if (tab === "log" && !further) await askChain(number);
  } catch (error) {
    if (number === asked) $("says").textContent = error.message || "Not done: Outrider does not answer.";
  }
}

function table(caption, heads, rows) {
  const head = make("tr", "", ...heads.map((one) => {
    const cell = make("th", one.startsWith("#") ? "n" : "", one.replace("#", ""));
    cell.scope = "col";
    return cell;
  }));
  return make("table", "", make("caption", "", caption), make("thead", "", head), make("tbody", "", ...rows));
}

function row(...cells) {
  return make("tr", "", ...cells.map((cell) => cell instanceof HTMLTableCellElement ? cell : make("td", "", cell ?? "")));
}

function whole1(text) {
  return make("td", "whole", text);
}

function number(n) {
  return make("td", "n", typeof n === "number" ? whole(n) : n);
}

function counts(total, name, map, naming) {
  const each = Object.entries(map).map(([word, n]) => make("li", "", make("b", "", whole(n)), ` ${naming(word)}`));
  return make("ul", "counts", make("li", "sum", make("b", "", whole(total)), ` ${name}`), ...each);
}

function shownOf(found) {
  return found.rows.length < found.total ? `The newest ${found.rows.length} of ${found.total}; an export has all of them.` : `${found.total} in all.`;
}

function drawHits(found) {
  choices.hits = found.choices;
  drawFilter();
  const rate = (what, list) => table(`Misreads by ${what}`, [what, "#hits", "misreads of those compared"],
    list.map((one) => row(one.name, number(one.hits), one.misreads.says)));
  $("summary").replaceChildren(
    counts(found.total, found.total === 1 ? "hit" : "hits", found.standings, standingName),
    make("p", "", "Misreads of the hits that somebody compared: ", make("b", "big", found.misreads.says)),
    make("p", "", `What came of them: ${Object.entries(found.outcomes).map(([word, n]) => `${words(word)} ${n}`).join(", ") || "nothing on record"}`),
    make("div", "charts", make("div", "chart", rate("list", found.lists)), make("div", "chart", rate("camera", found.cameras))),
    make("p", "note", "Hits stay as long as policy keeps them; the figures of months count all that there were. Percentages have the digits that their number supports, with the range in which the true share lies 19 times in 20."),
  );
  $("rows").replaceChildren(table(shownOf(found), ["seen", "plate", "why", "list and camera", "standing"], found.rows.map((hit) => {
    const plate = make("button", "plate-text", hit.listed);
    plate.type = "button";
    plate.addEventListener("click", () => picture(hit));
    const read = hit.read === hit.listed ? "" : make("small", "", `read ${hit.read}`);
    const cell = make("td", "", plate, ` ${hit.jurisdiction === "unknown" ? "" : hit.jurisdiction}`, read);
    const by = hit.by ? [hit.by, when(hit.at), hit.operator ? `operator ${hit.operator}` : ""].filter(Boolean).join(", ") : "";
    const came = hit.came ? `: ${words(hit.came)}` : "";
    return row(whole1(when(hit.seen)), cell, make("td", "", words(hit.category), make("small", "", `${SHAPE[hit.priority]} · ${hit.exact ? "= exact" : "≈ approximate"}`)),
      make("td", "", hit.list, make("small", "", hit.camera)), make("td", "", standingName(hit.standing), came, make("small", "", by)));
  })));
}

function picture(hit) {
  $("plate").src = `/hit/${encodeURIComponent(hit.hit)}/plate.jpg`;
  $("plate-says").textContent = `${hit.read} read, ${hit.listed} listed, ${when(hit.seen)}`;
  $("picture-of").hidden = false;
  $("picture-of").scrollIntoView({ block: "nearest" });
}

function drawLookUps(found) {
  choices["look-ups"] = { codes: found.codes };
  drawFilter();
  $("summary").replaceChildren(
    counts(found.total, found.total === 1 ? "look-up" : "look-ups", { ...found.reasons }, (reason) => words(reason) || "no reason code"),
    make("p", "", `Refused: ${found.refused}.`),
    make("p", "note", "A plate is a tag here: the same plate has the same tag in this car, and nobody without its key can tell which plate it is."),
  );
  $("rows").replaceChildren(table(shownOf(found), ["#record", "when", "who", "reason", "case", "scope", "plate tag", "answer"], found.rows.map((one) => row(
    number(one.record), whole1(when(one.at)), one.who, words(one.reason) || "none given", whole1(one.case || "none given"), one.scope, make("td", "mono", one.plate_tag),
    one.refused === null ? `${one.results} found` : `REFUSED: ${one.refused}`))));
}

function drawLog(found, further) {
  choices.log = { kinds: found.kinds };
  if (!further) {
    drawFilter();
    $("rows").replaceChildren(table("Records of people, rules and machine, the newest first. Records of single hits are in the hit log.", ["#record", "when", "who", "what", "facts"], []));
  }
  const body = $("rows").querySelector("tbody");
  for (const one of found.rows) {
    const facts = make("td", "facts");
    one.facts.forEach(([name, value], at) => facts.append(at ? " · " : "", `${words(name)} `, make("b", "", value)));
    body.append(row(number(one.record), whole1(when(one.at)), one.who, words(one.kind), facts));
  }
  if (!found.rows.length && !further) body.append(row("", "no record"));
  $("older").hidden = !found.more;
  $("older").dataset.before = found.rows.length ? found.rows[found.rows.length - 1].record : "";
}

async function askChain(number) {
  const answer = await post("/records/chain", {});
  if (number !== asked) return;
  if (!answer.ok) throw new Error((await answer.text()).trim());
  drawChain(await answer.json());
}

function drawChain(chain) {
  const again = make("button", "", "Check again");
  again.type = "button";
  again.addEventListener("click", () => askChain(asked).catch((error) => { $("says").textContent = error.message; }));
  const open = chain.to - chain.sealed;
  const seal = chain.holds
    ? `Sealed up to record ${whole(chain.sealed)} by the car's key ${chain.keys[chain.keys.length - 1]}${open ? `; ${open} since wait for their seal` : ""}.`
    : chain.fault;
  $("summary").replaceChildren(
    make("p", chain.holds ? "holds" : "broken", chain.holds ? `The chain holds: records ${chain.from} to ${whole(chain.to)}, verified ${when(chain.checked)}.` : "THE CHAIN DOES NOT HOLD. Keep the file, and ask who had access."),
    make("p", "", seal),
    make("p", "note", "Head: ", make("span", "mono", chain.head), ". The car checks itself here, by its own key: whoever keeps the heads that it published (audit/checkpoint) or runs outrider audit verify with the key from provisioning needs no word of the car's."),
    make("p", "buttons", again),
  );
}

function drawFigures(found) {
  figures = found;
  const { report } = found;
  const total = report.total;
  const wide = () => {
    const charts = $("summary").querySelector(".chart");
    return charts ? charts.clientWidth - 1.5 * rem() : 300;
  };
  const holders = [];
  const chart = (says, n, does) => {
    const holder = make("div", "chart", make("h2", "", says), make("p", "", n));
    holders.push([holder, does]);
    return holder;
  };
  const trend = (get) => () => columns(report.months.map((month) => [month.month, get(month.numbers)]), wide());
  const change = make("div", "chart", table("7 · Year over year: against the same month of the year before", ["month", "#reads", "#change", "#hits", "#change"],
    report.months.map((month, at) => row(month.month, number(month.numbers.detections), number(found.changes[at][0]), number(month.numbers.hotplate_hits), number(found.changes[at][1])))));
  $("summary").replaceChildren(
    make("p", "note", `${report.from} to ${report.to}, days in UTC. The seven figures that the Major Cities Chiefs Association recommends, as outrider report has them; covert hits are in none.`),
    make("div", "charts",
      chart("1 · Detections", `${whole(total.detections)} plates read`, trend((n) => n.detections)),
      chart("2 · Hits", `${many(total.hotplate_hits, "hit")}; of the reads ${found.hits_of_reads.says}`, trend((n) => n.hotplate_hits)),
      chart("3 · Queries by users", `${many(total.queries, "look-up")}, ${whole(total.queries_refused)} refused`, trend((n) => n.queries)),
      chart("4 · Arrests", `${many(total.arrests, "arrest")} that an officer says came of a hit`, trend((n) => n.arrests)),
      chart("5 · Plates added by users", many(total.user_hotplates, "hotplate"), trend((n) => n.user_hotplates)),
      chart("6 · Hits by type", `${Object.keys(total.hits_by_type).length} categories`, () => bars(total.hits_by_type, words, wide())),
      chart("Standings", `misreads of those compared: ${found.misreads.says}`, () => bars(total.dispositions, standingName, wide())),
      chart("Misreads", `${whole(total.dispositions.misread || 0)} in the period`, trend((n) => n.dispositions.misread || 0)),
      chart("Outcomes", "as officers recorded them", () => bars(total.outcomes, words, wide())),
      chart("Queries by reason", "", () => bars(total.queries_by_reason, words, wide()))),
    change,
  );
  for (const [holder, does] of holders) holder.append(does());
}

// --- export

$("export").addEventListener("submit", async (event) => {
  event.preventDefault();
  const format = event.submitter ? event.submitter.value : "csv";
  const { reason, case: named } = Object.fromEntries(new FormData($("export")));
  const what = { [tab.replace("-", "_")]: filter() };
  $("exported").textContent = "";
  $("says").textContent = "";
  try {
    const answer = await post("/records/export", { what, format, reason, case: named });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const file = await answer.json();
    const link = make("a");
    link.href = URL.createObjectURL(new Blob([file.text], { type: file.media }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    $("exported").textContent = `${file.name} is exported and on record, SHA-256 ${file.sha256}.`;
  } catch (error) {
    $("says").textContent = error.message || "Not done: Outrider does not answer.";
    $("says").scrollIntoView({ block: "nearest" });
  }
});

// --- the stream of the alert page

function connect() {
  const source = new EventSource("/events");
  const on = (name, does) => source.addEventListener(name, (event) => does(JSON.parse(event.data)));
  on("hello", (hello) => {
    $("unit").textContent = `Unit ${hello.vehicle}`;
    if (hello.screen) glass = hello.screen;
    nobodyDrives = hello.nobody_drives;
    sizeForTheEye();
    askSession();
  });
  on("status", (status) => {
    const at = status.position;
    const moves = Boolean(!nobodyDrives && at && at.state === "fixed" && at.speed_mps != null && at.speed_mps > DRIVING_MPS);
    if (moves !== moving) {
      moving = moves;
      drawOpen();
      if (!moving && session.who && !session.who.locked && !drawn) ask();
    }
    if (status.sessions !== sessionSeen) {
      sessionSeen = status.sessions;
      askSession();
    }
  });
  // Records hide no hit.
  const tell = (card) => {
    if (card.standing.is) return;
    $("news").hidden = false;
    $("news").textContent = `${SHAPE[card.priority]} hit, ${words(card.category)}: back to the alerts`;
  };
  on("hit", tell);
  on("again", (card) => { if (card.priority === "high") tell(card); });
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000); });
}

function open(what) {
  tab = what;
  for (const button of $("tabs").children) {
    if (button.dataset.tab === tab) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  ask();
}

for (const button of $("tabs").children) button.addEventListener("click", () => open(button.dataset.tab));
$("filter").addEventListener("submit", (event) => { event.preventDefault(); takeFilter(); ask(); });
$("older").addEventListener("click", () => ask({ before: Number($("older").dataset.before) }));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.ctrlKey && !event.altKey && !event.metaKey) location.assign("/");
});
let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  if (figures) drawFigures(figures);
});

const CODES = ["complaint", "disclosure", "court_order", "stolen_vehicle", "stolen_plate", "missing_person", "amber_alert", "wanted_person", "violent_crime", "hit_and_run", "officer_safety"];
$("export").elements.reason.append(...CODES.map((code) => new Option(words(code), code)));
$("tabs").children[0].setAttribute("aria-current", "page");
let kept = "dark";
try { kept = localStorage.getItem("look") || "dark"; } catch { /* a terminal without storage forgets */ }
if (kept === "auto") kept = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
document.documentElement.dataset.look = LOOKS.includes(kept) ? kept : "dark";
connect();
