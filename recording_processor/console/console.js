// One sound at a time, and a sentence where a sound cannot be played. The page of recordings works
// without this; a conflict is dismissed by it.
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

document.addEventListener("click", async (event) => {
  const path = event.target instanceof HTMLButtonElement && event.target.dataset.dismiss;
  if (!path) return;
  const button = event.target;
  button.disabled = true;
  try {
    const answer = await fetch(location.origin + path, { method: "DELETE" });
    if (answer.ok || answer.status === 404) {
      button.closest("li").remove();
      return;
    }
    button.textContent = (await answer.json()).statusMessage || "Not dismissed";
  } catch {
    button.textContent = "No answer came: try again";
  }
  button.disabled = false;
});
