// Which of the waiting hits comes in front next. In: `waiting`, `hits`. Out: `queue()`, the cards in the order in which
// "Next" brings them, and for how long the longest has waited. The more urgent come first. Of one priority the newest comes
// first while its vehicle may be in sight, and by turns with it the one that has waited longest: no hit waits for ever,
// and none waits behind all those that are long gone (docs/decisions/0142). Shares the helpers of console.js.
"use strict";

// As long as this a vehicle may be in sight: at a difference of 50 km/h it is four hundred metres away by then.
const IN_SIGHT_MS = 30000;
// A wait as long as this stands on the button.
const LONG_WAIT_MS = 60000;

const waiting = new Map(); // by id: since when it waits, by performance.now(), and whether somebody has looked at it and left it
let turn = "newest"; // whose turn it is among equals, "newest" or "longest"
let drawnQueue = ""; // the queue as drawn last

// From now on it waits; one that was left waits from the moment at which it was left. The time at which it was seen may be
// ahead, where the car's clock was set back since: then it counts as seen just now, and its wait does not depend on clocks.
function waits(card, left) {
  const ago = left ? 0 : Math.max(0, now() - Date.parse(card.seen));
  if (!waiting.has(card.id)) waiting.set(card.id, { since: performance.now() - ago, left });
}

function mayBeInSight(card) {
  const { since, left } = waiting.get(card.id);
  return !left && performance.now() - since < IN_SIGHT_MS;
}

function queue() {
  const all = [...waiting.keys()].map((id) => hits.get(id)).filter(Boolean);
  return ["high", "medium", "low"].flatMap((priority) => byTurns(all.filter((card) => card.priority === priority)));
}

// Hits of one priority.
function byTurns(equals) {
  const [newest, longest] = [[], []];
  for (const card of equals) (mayBeInSight(card) ? newest : longest).push(card);
  newest.reverse();
  longest.sort((a, b) => waiting.get(a.id).since - waiting.get(b.id).since);
  const [first, second] = turn === "newest" ? [newest, longest] : [longest, newest];
  return Array.from({ length: Math.max(first.length, second.length) }, (_, at) => [first[at], second[at]]).flat().filter(Boolean);
}

// This one comes in front, and the next turn is that of the other kind.
function takesTurn(id) {
  if (waiting.has(id)) turn = mayBeInSight(hits.get(id)) ? "longest" : "newest";
}

function nextWaiting() {
  const [next] = queue();
  if (next) show(next.id);
}

function drawNext(unseen) {
  drawnQueue = unseen.map((card) => card.id).join(" ");
  $("waiting-title").hidden = unseen.length === 0;
  $("next").hidden = unseen.length === 0;
  $("next").className = unseen.length ? unseen[0].priority : "";
  drawWait();
}

// How many wait; and how long the longest has waited, once that is long.
function drawWait() {
  const long = Math.max(0, ...[...waiting.values()].map((one) => performance.now() - one.since));
  const many = waiting.size > 99 ? "99+" : waiting.size;
  const says = long < LONG_WAIT_MS ? ["", ""] : [`, ${age(long)}`, `, longest ${age(long)}`];
  for (const [id, text] of [["next-says", `Next (${many}${says[0]})`], ["waiting-title", `Waiting (${waiting.size}${says[1]})`]]) {
    if ($(id).textContent !== text) $(id).textContent = text;
  }
}

// A vehicle has gone out of sight: the order is another.
function queueAges() {
  drawWait();
  if (queue().map((card) => card.id).join(" ") !== drawnQueue) drawLists();
}
