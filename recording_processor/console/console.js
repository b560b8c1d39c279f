// One sound at a time, and a sentence where a sound cannot be played. The page works without this.
"use strict";

document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) {
    if (other !== event.target) other.pause();
  }
}, true);

async function reason(source) {
  try {
    const answer = await fetch(source, { headers: { Range: "bytes=0-0" } });
    if (answer.ok) return "the browser cannot play this sound";
    const told = await answer.json();
    return told.statusMessage || `the answer was ${answer.status}`;
  } catch {
    return "no answer came";
  }
}

document.addEventListener("error", async (event) => {
  const audio = event.target;
  if (!(audio instanceof HTMLAudioElement)) return;
  let note = audio.nextElementSibling;
  if (!note || !note.classList.contains("failed")) {
    note = document.createElement("p");
    note.className = "failed";
    note.setAttribute("role", "alert");
    audio.after(note);
  }
  note.textContent = `Not played: ${await reason(audio.currentSrc)}.`;
}, true);
