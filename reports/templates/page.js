"use strict";
// Buttons with the text that they copy in data-copy.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = button.dataset.copy, words = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // a page that was opened as a file, in a browser that forbids it there
      const area = document.body.appendChild(document.createElement("textarea"));
      area.value = text;
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 1500);
  });
}
