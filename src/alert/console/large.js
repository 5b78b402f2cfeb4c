// One picture as large as there is room. In: a press on the picture, or `P`: the plate, then the other one. `Esc` and another
// press give the card back. Out: the card with that picture in the place of all that can be judged, and the listed text
// below it. Status row and banner stay, and a hit that comes in front does so here too. Shares the helpers of console.js.
"use strict";

let large = null; // which picture is large, "plate" or "context", and of which hit

function isLarge(what) {
  return Boolean(large) && (!what || large.what === what);
}

// What can be shown large of the hit in front.
function canBeLarge() {
  const { plate, context } = pictures.get(shown) || {};
  return [["plate", plate], ["context", context]].filter(([, image]) => image && image.naturalWidth).map(([what]) => what);
}

function enlarge(what) {
  if (!hits.has(shown) || form) return;
  large = what && canBeLarge().includes(what) ? { what, hit: shown } : null;
  more = false;
  // Who looks at it is not interrupted by a hit that is no more urgent; and no press meant for the picture judges.
  shownAt = performance.now();
  changedAt = performance.now();
  drawCard();
}

// The plate, and from there on the other one; the card where there is no other.
function nextPicture() {
  enlarge(canBeLarge().find((what) => !isLarge(what)));
}

// Of the card, before it is drawn: what is large belongs to the hit in front and to no other.
function drawLarge(card) {
  if (large && (!card || form || large.hit !== card.id)) large = null;
  $("card").dataset.large = large ? large.what : "";
  for (const what of ["plate", "context"]) $(`enlarge-${what}`).setAttribute("aria-pressed", String(isLarge(what)));
  $("large-says").hidden = !large;
  if (!large) return;
  const plate = make("b", "", text(card, "listed"));
  const issuer = card.jurisdiction_listed ? ` ${region(card.jurisdiction_listed)}` : ` ${issuerOf(card)} not stated`;
  refill($("large-says"), "Listed: ", plate, `${issuer}${card.vehicle ? ` · ${card.vehicle}` : ""}`);
}

function largeMoves() {
  const [other] = canBeLarge().filter((what) => !isLarge(what));
  const moves = [];
  if (other) moves.push(move("", other === "plate" ? "Plate " : "Vehicle ", "P", () => enlarge(other)));
  moves.push(move("turn", "Back ", "Esc", () => enlarge(null)));
  return moves;
}

for (const what of ["plate", "context"]) {
  document.getElementById(`enlarge-${what}`).addEventListener("click", () => enlarge(isLarge() ? null : what));
}
