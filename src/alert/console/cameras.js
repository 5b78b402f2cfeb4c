// What the cameras see now. In: `GET /camera/NAME/now.jpg`, once a second while somebody looks: small, every plate that was
// found covered, kept nowhere. For a maintainer, and in a car without users, `GET /aim` too: width, focus and light of the
// plates against what the models need. Out: a tile for each camera. Nothing is asked for in a moving car.
"use strict";

const PEEK_MS = 700;
const peeks = new Map(); // by camera: the figure, and whether a picture is on its way
let peekCount = 0;
let aims = null; // how each camera is aimed; nothing for who may not know
const sharpest = new Map(); // by camera: the best focus since the page was opened

// The figure of a camera, the same one wherever it stands.
function peekOf(camera) {
  if (!peeks.has(camera)) {
    const figure = make("figure", "peek none", make("figcaption", "", "no picture yet"));
    peeks.set(camera, { figure, busy: false });
  }
  return peeks.get(camera).figure;
}

function peekAll() {
  if (document.hidden || driving() || form !== "shift" && form !== "cameras") return;
  for (const [camera, one] of peeks) {
    if (one.busy || !one.figure.checkVisibility()) continue;
    one.busy = true;
    const image = new Image();
    image.alt = `What the ${camera} camera sees now, plates covered`;
    image.addEventListener("load", () => {
      one.busy = false;
      one.figure.classList.remove("none");
      refill(one.figure, image);
    });
    image.addEventListener("error", () => {
      one.busy = false;
      one.figure.classList.add("none");
      refill(one.figure, make("figcaption", "", "no picture"));
    });
    peekCount += 1;
    image.src = `/camera/${encodeURIComponent(camera)}/now.jpg?${peekCount}`;
  }
}

function mayAim() {
  return !session.users || Boolean(officer && session.who.roles.includes("maintainer"));
}

async function askAims() {
  if (!mayAim()) { aims = null; return; }
  try {
    const answer = await fetch("/aim", { cache: "no-store" });
    aims = answer.ok ? await answer.json() : null;
  } catch { /* the banner says that the connection is lost */ }
}

// Why vehicles of a camera gave no plate, commonest first.
function whyUnread(one) {
  const why = Object.entries(one.unread || {}).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]);
  return why.length ? `Seen, not read: ${why.map(([name, count]) => `${count} ${UNREAD[name]}`).join(", ")}` : "";
}

// What an installer turns and moves by: number, what is needed, and the best so far.
function aimLines(id) {
  const aim = aims && aims[id];
  if (!aim) return [];
  const { newest, usual, view, needs } = aim;
  const best = Math.max(sharpest.get(id) || 0, view ? view.focus : 0);
  sharpest.set(id, best);
  const lines = [];
  // Beside the numbers the word alone: what is needed stands there already.
  const word = (verdict) => verdict.fit === "not_well" ? `: ${verdict.says.replace(/^[^A-Z]*/, "").replace(/: \d+ wanted$/, "")}` : "";
  const line = (name, verdict, number) => lines.push(make("p", `aim ${verdict.fit}`, make("b", "", `${name} `), number ? `${number}${word(verdict)}` : verdict.says));
  line("Plates", aim.width, newest ? `${Math.round(newest.width)} px now, ${Math.round(usual.width)} usual, ${Math.round(needs.wanted_width)} needed` : "");
  line("Focus", aim.focus, usual ? `${usual.sharpness.toFixed(2)}, ${needs.least_sharpness.toFixed(2)} needed` : "");
  line("Light", aim.light, usual ? `${Math.round(usual.light)} of 255, ${Math.round(needs.least_light)} needed` : "");
  if (view) {
    lines.push(make("p", "aim", make("b", "", "Picture "), `${view.width}x${view.height}, light ${Math.round(view.light)}, focus ${view.focus.toFixed(2)}, best ${best.toFixed(2)}`));
  }
  return lines;
}

function drawLooks() {
  if (form !== "cameras" || !status) return;
  $("looks-title").textContent = mayAim() ? "Cameras: aim" : "Cameras";
  refill($("looks-cameras"), ...status.cameras.map((one) => {
    const { kind, says, lines } = camera(one);
    const known = [...lines, whyUnread(one)].filter(Boolean);
    return make("div", `tile ${kind === "ok" ? "ok" : "not_well"}`, peekOf(one.id),
      make("div", "", make("h2", "", one.id), make("b", "", says), ...known.map((line) => make("p", "", line))),
      make("div", "aims", ...aimLines(one.id)));
  }));
}

async function lookOn() {
  if (form !== "cameras" || document.hidden) return;
  await askAims();
  drawLooks();
}

document.getElementById("look").addEventListener("click", () => openForm("cameras"));
setInterval(peekAll, PEEK_MS);
setInterval(lookOn, PEEK_MS);
