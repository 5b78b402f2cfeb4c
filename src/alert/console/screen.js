// Sizes for the eye. In: how large the terminal's screen is and how far from the officer's eye (`[console] screen`, in
// `hello`), and the fonts that this browser has. Out: the root's font size, in which every length of the page is
// told: capitals of one rem are 16 arc minutes high, of 1.25 rem 20. Says also how much room that leaves.
"use strict";

// The least capital, in minutes of arc. ISO 15008 has 12 as its floor and 16 as acceptable; a page that is closed while
// somebody drives goes to the floor.
const LEAST_ARC = Number(document.documentElement.dataset.arc) || 16;
// A font is rendered to whole pixels, and eyes differ: this much above the least.
const MARGIN = 1.01;
// A narrower window is a phone in a hand, or the page enlarged by whoever looks: it scrolls, and no distance is known.
const HAND_PX = 720;

// As `[console] screen` is when nobody has set it.
let glass = { diagonal_inches: 10.1, width_px: 1024, distance_mm: 700 };

// Height of a capital, as a share of the font's size, of what the browser has for this family.
function capital(family, weight) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${weight} 200px ${family}`;
  return context.measureText("H").actualBoundingBoxAscent / 200;
}

// Millimetres of one CSS pixel. A screen finer than was set is believed: too small a text is the worse mistake.
function pitch() {
  const [long, short] = [Math.max(screen.width, screen.height), Math.min(screen.width, screen.height)];
  const wide = glass.diagonal_inches * 25.4 * Math.cos(Math.atan2(short, long));
  return wide / Math.max(glass.width_px, long);
}

// Minutes of arc that a length in pixels takes up in the eye.
function arc(px) {
  return 2 * Math.atan(px * pitch() / 2 / glass.distance_mm) * 180 / Math.PI * 60;
}

function sizeForTheEye() {
  const root = document.documentElement;
  let rem = 16;
  if (innerWidth > HAND_PX) {
    const family = getComputedStyle(document.body).fontFamily;
    const mono = getComputedStyle(root).getPropertyValue("--mono");
    const least = Math.min(capital(family, 400), capital(family, 800), capital(mono, 400), capital(mono, 800));
    const high = 2 * glass.distance_mm * Math.tan(LEAST_ARC / 60 * Math.PI / 180 / 2) / pitch();
    rem = high / least * MARGIN;
  }
  root.style.fontSize = `${rem.toFixed(2)}px`;
  const room = innerWidth / rem;
  root.dataset.room = room < 40 ? "narrow" : room < 66 ? "car" : "wide";
  fitCard();
}

// Gives up what can be given up until everything that must be in sight on the card is: first room between, then
// what stands under "More" too.
function fitCard() {
  const card = document.getElementById("card");
  if (!card || card.hidden) return;
  // A second row of what is to be pressed costs nothing where there is height.
  for (const [fit, rows] of [["0", "1"], ["0", "2"], ["1", "1"], ["2", "1"], ["3", "1"], ["1", "2"], ["2", "2"], ["3", "2"], ["3", "1"]]) {
    card.dataset.fit = fit;
    card.dataset.rows = rows;
    if (document.documentElement.dataset.room === "narrow") return;
    if (card.scrollHeight <= card.clientHeight && card.scrollWidth <= card.clientWidth) return;
  }
}

// A banner above takes room from it.
if (document.getElementById("card")) new ResizeObserver(fitCard).observe(document.getElementById("card"));
addEventListener("resize", sizeForTheEye);
sizeForTheEye();
