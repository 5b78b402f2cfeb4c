// The start of an officer's shift. In: `GET /shift`, once a second while it is in front: lines, each with a word. Out: the
// tone that is asked for, and the word that it was gone through. Nobody is asked about a tone where the car has no sound. It opens by itself after a sign-in and stays until it
// was gone through; every hit comes in front of it. Shares `form`, `officer`, `session` and the helpers of console.js.
"use strict";

// Pages that stand in the place of everything but the header: what `form` is then, and the section.
const SECTIONS = { "sign-in": "sign-in", shift: "shift", cameras: "looks", dispatch: "dispatch" };
const SHIFT_MS = 1000;

let shiftTold = null; // what is shown
let toneHeard = null; // what the officer says of the tone

function shiftDue() {
  return Boolean(officer && session.who && session.who.begin);
}

// Comes in front whenever nothing else is: not over a hit, a form or a drive.
function offerShift() {
  if (form === "shift" && !shiftDue()) closeForm();
  if (!shiftDue() || form || suspended || driving() || hits.has(shown)) return;
  openForm("shift");
}

function beginsShift() {
  toneHeard = null;
  shiftTold = null;
  $("shift-says").textContent = "";
  refill($("shift-cameras"));
  refill($("shift-lines"));
  drawShift();
  askShift();
}

async function askShift() {
  try {
    const answer = await fetch("/shift", { cache: "no-store" });
    if (!answer.ok) return;
    shiftTold = await answer.json();
    if (form === "shift") drawShift();
  } catch { /* the banner says that the connection is lost */ }
}

function shiftLine(line) {
  return make("li", line.is, make("span", "what", line.what), " ", make("b", "", line.word), line.says ? make("span", "says", ` ${line.says}`) : "");
}

function drawShift() {
  const who = session.who;
  if (who) {
    const until = who.trained_until ? `, trained until ${who.trained_until}` : "";
    $("shift-who").textContent = `${who.number}${who.name ? ` ${who.name}` : ""}, ${who.roles[0]}${until}`;
  }
  if (!shiftTold) return;
  const { lines, tone, silent } = shiftTold;
  refill($("shift-cameras"), ...lines.filter((line) => line.camera).map((line) => make("div", `tile ${line.is}`, peekOf(line.camera),
    make("div", "", make("h2", "", line.what), make("b", "", line.word), make("p", "", line.says)))));
  refill($("shift-lines"), ...lines.filter((line) => !line.camera).map(shiftLine));
  for (const id of ["tone", "heard", "not-heard"]) $(id).hidden = silent;
  $("shift-silent").hidden = !silent;
  if (silent) {
    const says = "NO SOUND: nobody hears a tone in this car. Hits come on this screen alone: keep it in sight, and report the car.";
    if ($("shift-silent").textContent !== says) $("shift-silent").textContent = says;
    // One that was heard before the sound went says nothing of the shift.
    toneHeard = null;
  }
  const asked = !silent && toneHeard === null;
  const ill = lines.filter((line) => line.is === "not_well").length + (toneHeard === false ? 1 : 0);
  for (const [id, says] of [["heard", true], ["not-heard", false]]) $(id).setAttribute("aria-pressed", String(toneHeard === says));
  $("heard").disabled = !tone;
  $("begin").disabled = asked;
  $("begin").textContent = asked ? "First: was the tone heard?" : ill ? `Begin shift, ${ill} not well` : "Begin shift";
  $("begin").classList.toggle("ill", ill > 0);
}

function sayHeard(says) {
  toneHeard = says;
  drawShift();
}

async function askTone() {
  $("shift-says").textContent = "";
  try {
    const answer = await post("/shift/tone", {});
    if (!answer.ok) throw new Error((await answer.text()).trim());
    await askShift();
  } catch (error) {
    $("shift-says").textContent = error.message || "Not done: Outrider does not answer.";
  }
}

async function begin() {
  if (!shiftTold || toneHeard === null && !shiftTold.silent) return;
  $("shift-says").textContent = "";
  try {
    const answer = await post("/shift/begin", { version: shiftTold.version, heard: toneHeard === true });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    await askSession();
  } catch (error) {
    $("shift-says").textContent = error.message || "Not done: Outrider does not answer.";
    askShift();
  }
}

document.getElementById("tone").addEventListener("click", askTone);
document.getElementById("heard").addEventListener("click", () => sayHeard(true));
document.getElementById("not-heard").addEventListener("click", () => sayHeard(false));
document.getElementById("begin").addEventListener("click", begin);
setInterval(() => { if (form === "shift" && !document.hidden) askShift(); }, SHIFT_MS);
