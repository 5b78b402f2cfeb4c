// What is said of a hit beyond sight: dispatch's word with its operator and time, what came of it, why a word is taken
// back; and the plate to the clipboard once somebody has compared it. In: the hit in front. Out: `POST /hits/judge`.
// Shares `shown`, `form`, `judge` and the helpers of console.js, which is loaded after it.
"use strict";

const REJECTS = { misread: "Misread", wrong_jurisdiction: "Wrong", stale: "Stale entry", dismissed: "Dismiss" };
const DISPATCH = { dispatch_confirmed: "Dispatch: ACTIVE", not_active: "Not active" };
const OUTCOMES = { no_stop: "No stop", stop: "Stop", citation: "Citation", arrest: "Arrest", recovery: "Recovery", no_action: "No action" };
const WHY = { pressed_by_mistake: "Pressed by mistake", looked_again: "Looked again", new_information: "New information" };
// Operators that are offered again, so that nobody types a number twice, or at speed.
const OPERATORS = 3;

let asking = ""; // which further choice is offered in the place of the moves: "taken_back", "outcome", "reject", or a word of dispatch
let about = null; // the hit and the word that the form for dispatch is about
let operators = []; // numbers given on this page, the last first

function offer(what) {
  if (unsettled()) return;
  asking = what;
  changedAt = performance.now();
  drawMoves();
}

function button(kind, says, word, does) {
  const one = move(kind, says, "", does);
  one.dataset.move = word;
  return one;
}

function rejectMoves(card, issuer) {
  const words = Object.keys(REJECTS).filter((word) => card.standing.next.includes(word));
  const kind = (word) => word === "misread" && differs(card) ? "reject likely" : "reject";
  return words.map((word) => button(kind(word), word === "wrong_jurisdiction" ? `Wrong ${issuer}` : REJECTS[word], word, () => judge(word)));
}

// The choices of what is being asked.
function askedMoves(card, issuer) {
  const leave = move("", "Leave it", "", () => offer(""));
  if (asking === "taken_back") {
    return [...Object.entries(WHY).map(([why, says]) => button("reject", says, why, () => judge("taken_back", { why }))), leave];
  }
  if (asking === "reject") return [...rejectMoves(card, issuer), leave];
  if (asking === "outcome") {
    const words = Object.keys(OUTCOMES).filter((word) => card.standing.next.includes(word));
    return [...words.map((word) => button("reject", OUTCOMES[word], word, () => judge(word))), leave];
  }
  const word = asking;
  const says = (operator) => `${operator} says ${word === "not_active" ? "not active" : "ACTIVE"}`;
  return [...operators.map((operator) => button("sight", says(operator), `operator-${operator}`, () => judge(word, { dispatch: { operator } }))), leave];
}

// What may be said after sight, or besides it. A rejected hit is taken back, not rejected in other words.
function furtherMoves(card, issuer) {
  const { next, rejected } = card.standing;
  const moves = [];
  const compared = ["confirmed", "ended"].includes(stands(card));
  if (stands(card) === "open") moves.push(...rejectMoves(card, issuer));
  if (!rejected) {
    for (const word of Object.keys(DISPATCH).filter((one) => next.includes(one))) {
      // Nothing invites to go on with a hit that has come to its end.
      const kind = word === "dispatch_confirmed" && stands(card) !== "ended" ? "sight" : "reject";
      moves.push(button(kind, DISPATCH[word], word, () => askDispatch(word)));
    }
  }
  if (compared) moves.push(button("reject", "Reject", "reject", () => offer("reject")));
  if (Object.keys(OUTCOMES).some((word) => next.includes(word))) moves.push(button("reject", "Outcome", "outcome", () => offer("outcome")));
  if (next.includes("taken_back")) moves.push(button("reject", "Take back", "taken_back", () => offer("taken_back")));
  if (compared) moves.push(button("", "Copy plate", "copy", () => copyPlate(card)));
  return moves;
}

// Where the hit stands, in bold and besides. One that has come to its end says what came of it, and no longer what may be done.
function standingWords(card) {
  const { status, came } = card.standing;
  const [bold, rest] = status.split(": ");
  return stands(card) === "ended" ? [`ENDED: ${OUTCOMES[came].toUpperCase()}`] : [bold, rest];
}

// Who said the last word, who at dispatch, and what came of it before somebody took the word back; of a hit at its end, how it
// was confirmed.
function standingSays(card) {
  const { standing } = card;
  if (!standing.by) return "";
  const operator = standing.operator ? `operator ${standing.operator}` : "";
  const was = standing.status.split(": ")[0].toLowerCase();
  const came = stands(card) === "ended" ? was : standing.came ? OUTCOMES[standing.came].toUpperCase() : "";
  return make("small", "", [came, operator, `${standing.by}, ${clock(standing.at)}`].filter(Boolean).join(" · "));
}

// --- the plate, for another program of this terminal

async function copyPlate(card) {
  // Not before somebody has compared it: a misread plate would be run as if it were the vehicle's.
  if (!["confirmed", "ended"].includes(stands(card))) return;
  const plate = text(card, card.match_kind === "wildcard" ? "read" : "listed");
  try {
    await navigator.clipboard.writeText(plate);
    remark("Plate copied.");
  } catch {
    remark("Not copied: this browser does not let the page write to the clipboard.");
  }
}

// --- dispatch

function askDispatch(word) {
  if (unsettled()) return;
  if (!officer) { askOfficer(); return; }
  // Nobody at dispatch has said a word of a drawn plate.
  if (isPractice(shown)) { judge(word); return; }
  if (driving() && operators.length) { offer(word); return; }
  if (!mayOpen("dispatch")) return;
  const card = hits.get(shown);
  about = { hit: shown, word };
  form = "dispatch";
  const { operator, ago } = $("dispatch-form").elements;
  operator.value = operators[0] || "";
  ago.value = "0";
  $("dispatch-title").textContent = word === "not_active" ? "Dispatch says: not active" : "Dispatch says: ACTIVE";
  $("dispatch-what").textContent = `${words(card.category)}, ${text(card, "listed")}${card.jurisdiction_listed ? ` ${region(card.jurisdiction_listed)}` : ""}`;
  $("dispatch-says").textContent = "";
  pinField = operator;
  drawCard();
  operator.focus();
}

// Somebody else has said something of the hit that the form is about.
function dispatchStands(card) {
  if (!about || about.hit !== card.id || card.standing.next.includes(about.word)) return;
  about = null;
  if (form === "dispatch") closeForm();
}

document.getElementById("dispatch-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!about || judging) return;
  judging = true;
  const { hit, word } = about;
  const operator = event.target.elements.operator.value.trim();
  const minutes = Number(event.target.elements.ago.value);
  const dispatch = minutes ? { operator, at: new Date(now() - minutes * 60000).toISOString() } : { operator };
  $("dispatch-says").textContent = "";
  try {
    const answer = await post("/hits/judge", { hit, word, dispatch });
    if (!answer.ok) throw new Error((await answer.text()).trim());
    operators = [operator, ...operators.filter((one) => one !== operator)].slice(0, OPERATORS);
    const standing = await answer.json();
    about = null;
    if (form === "dispatch") closeForm();
    stand(hit, standing);
  } catch (error) {
    $("dispatch-says").textContent = error.message || "Not done: Outrider does not answer.";
  } finally {
    judging = false;
  }
});

pad("dispatch-pad");
document.getElementById("dispatch-form").elements.operator.addEventListener("focus", (event) => { pinField = event.target; });
