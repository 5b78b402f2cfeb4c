// Training: drawn plates to practise comparing on. In: `POST /training/...`. Out: a card like that of a hit under a banner that
// says what it is, what the picture shows once a word was said, and counts of its own. It is no hit: nothing of it is
// sent, stored or counted with hits, and it ends as soon as one comes, the car moves, or something else is opened.
"use strict";

let training = null; // the card in front, and how many were right

function isPractice(id) {
  return Boolean(training) && training.id === id;
}

function takePractice({ card, right, wrong }) {
  if (training) dropPractice();
  training = { id: card.id, right, wrong, lesson: "" };
  hits.set(card.id, card);
  drawTraining();
  show(card.id);
}

function dropPractice() {
  for (const known of [hits, raised, waiting, pictures]) known.delete(training.id);
}

async function trainingPost(path, body) {
  const answer = await post(`/training/${path}`, body);
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function beginTraining(path) {
  if (!mayOpen("training")) return;
  try {
    takePractice(await trainingPost(path, {}));
  } catch (error) {
    remark(error.message || "Not done: Outrider does not answer.");
  }
}

// What came of a word: where the card stands.
function learn({ standing, lesson, right, wrong }) {
  Object.assign(training, { lesson, right, wrong });
  drawTraining();
  return standing;
}

// Whatever the reason, the page is the car's again.
function leaveTraining(why) {
  if (!training) return;
  const id = training.id;
  dropPractice();
  training = null;
  if (shown === id) shown = null;
  drawTraining();
  if (why) remark(why);
  drawCard();
  drawLists();
  // A session that has ended ends it by itself.
  if (officer) post("/training/end", {}).catch(() => {});
}

function drawTraining() {
  $("training").hidden = !training;
  document.body.classList.toggle("trains", Boolean(training));
  if (!training) return;
  $("training-says").textContent = training.lesson || "Compare the picture with the entry, as for a hit.";
  $("training-score").textContent = `${training.right} right, ${training.wrong} not`;
  fitCard();
}

document.getElementById("train").addEventListener("click", () => beginTraining("begin"));
document.getElementById("training-next").addEventListener("click", () => beginTraining("next"));
document.getElementById("training-end").addEventListener("click", () => leaveTraining(""));
