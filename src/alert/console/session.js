// Who is signed in on this page. In: `GET /session`, whenever the status says that it may have changed. Out: number
// and PIN, and the header that every change brings along. Shares `officer`, `form` and the helpers of console.js,
// which is loaded after it.
"use strict";

// Above this no text field opens: 8 km/h.
const DRIVING_MPS = 8 / 3.6;
// A remark beside the status row stays for this long.
const REMARK_MS = 8000;

let session = { users: true, who: null, csrf: "" };
let nobodyDrives = false; // a drawn car: whoever looks at it sits at a desk
let sessionSeen = null; // the status's number of changes when it was asked last
let suspended = null; // the form behind a hit that came in front of it, and where the keyboard was
let pinField = null; // what the pad's keys are written into
let remarkUntil = 0;
let wasDriving = false;

async function askSession() {
  try {
    const answer = await fetch("/session", { cache: "no-store" });
    if (answer.ok) takeSession(await answer.json());
  } catch { /* the banner says that the connection is lost */ }
}

function takeSession(news) {
  session = news;
  const who = session.who;
  officer = who && !who.locked ? who.number : "";
  const button = $("who");
  button.className = officer ? shiftDue() ? "in due" : "in" : "";
  if (!session.users) refill(button, "NO USERS", make("span", "", ": nothing can be entered"));
  else if (!who) refill(button, "Sign in");
  else if (who.locked) refill(button, `LOCKED ${who.number}`, make("span", "", ": give PIN"));
  else if (who.begin) refill(button, `${who.number}: BEGIN SHIFT`);
  else refill(button, who.number, make("span", "", ` ${who.roles[0]}${who.name ? `, ${who.name}` : ""}`));
  $("lock").hidden = !officer;
  $("records").hidden = !officer || !who.roles.some((role) => ["supervisor", "auditor"].includes(role));
  $("train").hidden = !officer;
  if (!officer) leaveTraining("");
  $("sign-out").hidden = !who;
  drawSignIn();
  if (form === "sign-in" && officer) closeForm();
  drawCard();
  offerShift();
}

function driving() {
  const at = status && status.position;
  return Boolean(!nobodyDrives && at && at.state === "fixed" && at.speed_mps != null && at.speed_mps > DRIVING_MPS);
}

// Whether a form may open now; says why not.
function mayOpen(what) {
  if (driving()) {
    remark("Driving: above 8 km/h no field opens. Stop, or let somebody else do it. Hits can be judged by whoever is signed in.");
    return false;
  }
  // In a car without users whoever sets it up looks at what its cameras see.
  if (what === "cameras" && !session.users) return true;
  if (what !== "sign-in" && !officer) {
    openForm("sign-in");
    return false;
  }
  if (what === "sign-in" && !session.users) {
    remark("This car's policy names nobody who may sign in: alerts are shown, nothing can be entered. The agency has to sign a policy with users.");
    return false;
  }
  if (!(what in SECTIONS) && shiftDue()) {
    openForm("shift");
    return false;
  }
  return true;
}

function remark(says) {
  $("entry-says").textContent = says;
  remarkUntil = performance.now() + REMARK_MS;
}

// Every status: asks anew where something changed, and closes what may not be open in a moving car.
function sessionStatus(news) {
  if (news.sessions !== sessionSeen) {
    sessionSeen = news.sessions;
    askSession();
  }
  if (document.body.classList.toggle("driving", driving()) !== wasDriving) {
    wasDriving = !wasDriving;
    drawLists();
  }
  fitState();
  if (driving()) leaveTraining("Driving: training has ended.");
  if (form && driving()) {
    remark(form === "shift" || form === "cameras" ? "Driving: this page is put aside above 8 km/h."
      : "Driving: the form is put aside above 8 km/h, and what was typed stays.");
    closeForm();
  }
  offerShift();
  if ($("entry-says").textContent && performance.now() > remarkUntil) $("entry-says").textContent = "";
}

// In a moving car nothing scrolls: of the other hits and of the state those rows are shown that fit.
function fitIn(box, rows) {
  for (const row of rows) row.hidden = false;
  if (!wasDriving || document.documentElement.dataset.room === "narrow" || !box.checkVisibility()) return;
  const end = box.getBoundingClientRect().bottom + 0.5;
  const first = rows.findIndex((row) => row.getBoundingClientRect().bottom > end);
  if (first < 0) return;
  for (const row of rows.slice(rows[first].tagName === "DD" ? first - 1 : first)) row.hidden = true;
}

// Once before the page is drawn, however many hits have come since: each look at a row's place lays the page out anew.
let fitting = false;
function fitAside() {
  if (fitting) return;
  fitting = true;
  requestAnimationFrame(() => {
    fitting = false;
    fitIn(document.querySelector("aside"), [...document.querySelectorAll("aside h2:not(#waiting-title, #hotplates-title), aside li")]);
  });
}

function fitState() {
  if (wasDriving) fitIn($("watch"), [...$("state").children]);
}

// --- a form and the hits that come in front of it

// Whether it is a hotplate that the form takes away.
function ofHotplate(what) {
  return what !== "add" && !(what in SECTIONS);
}

function suspend() {
  if (!form) return;
  const field = document.activeElement;
  suspended = { form, field: field && $(SECTIONS[form] || "form").contains(field) ? field : null };
  form = null;
}

// The hit in front is acknowledged: the form comes back as it was, and the keyboard with it.
function resume() {
  const { form: what, field } = suspended;
  suspended = null;
  leave(null);
  shown = null;
  if (what === "dispatch" && about) shown = about.hit;
  if (driving() || what === "dispatch" && !about || ofHotplate(what) && !hotplate(what)) {
    drawCard();
    drawLists();
    return;
  }
  form = what;
  drawCard();
  drawLists();
  if (field) field.focus();
}

// --- number and PIN

function drawSignIn() {
  const locked = Boolean(session.who && session.who.locked);
  $("sign-in-title").textContent = locked ? `${session.who.number}: give the PIN to go on` : "Sign in";
  $("sign-in-number").hidden = locked;
  $("sign-in-form").elements.number.required = !locked;
  if (locked || !pinField) pinField = $("sign-in-form").elements[locked ? "pin" : "number"];
}

// Which field the keyboard is given to when the form opens.
function firstField() {
  const { number, pin } = $("sign-in-form").elements;
  pinField = $("sign-in-number").hidden || number.value ? pin : number;
  return pinField;
}

function press(key) {
  const field = pinField;
  if (key === "⌫") field.value = field.value.slice(0, -1);
  else if (field.value.length < field.maxLength) field.value += key;
  field.focus();
}

// Fills a pad with keys that write into the field that has the keyboard.
function pad(id) {
  for (const key of ["1", "2", "3", "4", "5", "6", "7", "8", "9", "⌫", "0"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = key;
    if (key === "⌫") button.setAttribute("aria-label", "Delete the last one");
    // The field keeps the keyboard.
    button.addEventListener("pointerdown", (event) => event.preventDefault());
    button.addEventListener("click", () => press(key));
    document.getElementById(id).append(button);
  }
}

pad("pad");

for (const field of document.getElementById("sign-in-form").querySelectorAll("input")) {
  field.addEventListener("focus", () => { pinField = field; });
}

let signingIn = false;

document.getElementById("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (signingIn) return;
  signingIn = true;
  const { number, pin } = event.target.elements;
  $("sign-in-says").textContent = "";
  try {
    const locked = session.who && session.who.locked;
    const answer = await (locked
      ? post("/session/unlock", { pin: pin.value })
      : post("/session/sign-in", { number: number.value, pin: pin.value }));
    pin.value = "";
    if (!answer.ok) throw new Error((await answer.text()).trim());
    number.value = "";
    // Another form may have waited for this; a hit that is in front stays there.
    takeSession(await answer.json());
  } catch (error) {
    $("sign-in-says").textContent = error.message || "Not done: Outrider does not answer.";
    pin.focus();
  } finally {
    pin.value = "";
    signingIn = false;
  }
});

async function leaveSession(path) {
  try {
    const answer = await post(path, {});
    if (answer.ok) takeSession(await answer.json());
    else remark((await answer.text()).trim());
  } catch {
    remark("Not done: Outrider does not answer.");
  }
}

document.getElementById("who").addEventListener("click", () => {
  if (!officer) openForm("sign-in");
  else if (shiftDue()) openForm("shift");
});
document.getElementById("records").addEventListener("click", () => {
  if (driving()) remark("Driving: records open below 8 km/h.");
  else location.assign("/records");
});
document.getElementById("lock").addEventListener("click", () => leaveSession("/session/lock"));
document.getElementById("sign-out").addEventListener("click", () => leaveSession("/session/sign-out"));
document.getElementById("resume").addEventListener("click", () => { if (suspended) resume(); });
