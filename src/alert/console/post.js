// What both pages send. In: `session` and `askSession` of the page that loads it. Out: a POST with the header that every
// change brings along.
"use strict";

// Sends a change. A page that is not up to date any more asks who is signed in and tries once more.
async function post(path, body, again = true) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Outrider-CSRF": session.csrf },
    body: JSON.stringify(body),
  });
  if (answer.status === 403 && again) {
    const before = session.csrf;
    await askSession();
    if (session.csrf !== before) return post(path, body, false);
  }
  if (answer.status === 401 || answer.status === 423) await askSession();
  return answer;
}
