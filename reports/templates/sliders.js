"use strict";
// Two settings side by side: pictures are parts of one sheet, scores are cells of the table of all settings.
const page = document.getElementById("compare"), sheet = document.getElementById("sheet");
const [conditions, count] = [Number(page.dataset.conditions), Number(page.dataset.count)];
const settings = [...document.querySelectorAll("#settings tbody tr")].map((line, i) => ({
  a: Number(line.dataset.a), w: Number(line.dataset.w), line: conditions + i, cells: [...line.querySelectorAll("td")],
}));
const stops = { a: [], w: [] };
for (const name of ["a", "w"]) stops[name] = [...new Set(settings.map((s) => s[name]))].sort((x, y) => x - y);

function draw(canvas, line, column) {
  const width = sheet.naturalWidth / count, height = sheet.naturalHeight / (conditions + settings.length);
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  canvas.getContext("2d").drawImage(sheet, column * width, line * height, width, height, 0, 0, canvas.width, canvas.height);
}

// The nearest setting that was sampled; the slider that was moved last keeps its value.
function nearest(wanted, moved) {
  const other = moved === "a" ? "w" : "a";
  const distance = (s) => Math.abs(s[other] - wanted[other]);
  return settings.filter((s) => s[moved] === wanted[moved]).reduce((best, s) => (distance(s) < distance(best) ? s : best));
}

function show(side, moved) {
  const panel = page.querySelector(`fieldset[data-side=${side}]`), wanted = {};
  for (const input of panel.querySelectorAll("input")) {
    wanted[input.name] = stops[input.name][input.value];
    input.previousElementSibling.textContent = wanted[input.name];
    input.setAttribute("aria-valuetext", `${input.name} = ${wanted[input.name]}`);
  }
  const found = nearest(wanted, moved), sampled = found.a === wanted.a && found.w === wanted.w;
  const words = (s) => `a = ${s.a}, w = ${s.w}`;
  panel.querySelector("p").textContent = sampled ? "" : `${words(wanted)} was not sampled. Shown: ${words(found)}.`;
  page.querySelectorAll(`canvas[data-side=${side}]`).forEach((canvas, i) => draw(canvas, found.line, i));
  const column = side === "left" ? 1 : 2;
  page.querySelectorAll("#scores tr").forEach((line, i) => {
    if (i === 0) line.cells[column].textContent = `${side}: ${words(found)}`;
    else line.cells[column].replaceChildren(...found.cells[i - 1].cloneNode(true).childNodes);
  });
}

sheet.decode().then(() => {
  page.hidden = false;
  document.getElementById("all").open = false;
  page.querySelectorAll(".pairs li").forEach((item, i) => {
    item.querySelectorAll("canvas[data-line]").forEach((canvas) => draw(canvas, Number(canvas.dataset.line), i));
  });
  for (const side of ["left", "right"]) {
    for (const input of page.querySelectorAll(`fieldset[data-side=${side}] input`)) {
      input.addEventListener("input", () => show(side, input.name));
    }
    show(side, "a");
  }
});
