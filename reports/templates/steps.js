"use strict";
// Two rows side by side at one step each: pictures are parts of one sheet, scores are cells of the table of all rows.
const page = document.getElementById("compare"), sheet = document.getElementById("sheet");
const [count, maps, rows] = [Number(page.dataset.count), Number(page.dataset.maps), Number(page.dataset.rows)];
const times = page.dataset.times.split(",").map(Number);
const lines = 1 + maps * times.length;
const cells = [...document.querySelectorAll("#settings tbody tr")].map((line) => [...line.querySelectorAll("td")]);

function draw(canvas, line, column) {
  const width = sheet.naturalWidth / count, height = sheet.naturalHeight / (rows * lines);
  canvas.width = Math.round(width);
  canvas.height = Math.round(height);
  canvas.getContext("2d").drawImage(sheet, column * width, line * height, width, height, 0, 0, canvas.width, canvas.height);
}

function show(side) {
  const panel = page.querySelector(`fieldset[data-side=${side}]`);
  const slider = panel.querySelector("input"), select = panel.querySelector("select");
  const row = Number(select.value), place = Number(slider.value);
  slider.previousElementSibling.textContent = times[place];
  slider.setAttribute("aria-valuetext", `t = ${times[place]}`);
  page.querySelectorAll(".pairs li").forEach((item, k) => {
    for (const canvas of item.querySelectorAll(`canvas[data-side=${side}]`)) {
      const map = Number(canvas.dataset.line);
      draw(canvas, row * lines + (map ? 1 + (map - 1) * times.length + place : 0), k);
    }
  });
  const column = side === "left" ? 1 : 2;
  page.querySelectorAll("#scores tr").forEach((line, i) => {
    if (i === 0) line.cells[column].textContent = `${side}: ${select.selectedOptions[0].textContent}`;
    else line.cells[column].replaceChildren(...cells[row][i - 1].cloneNode(true).childNodes);
  });
}

sheet.decode().then(() => {
  page.hidden = false;
  document.getElementById("all").open = false;
  for (const side of ["left", "right"]) {
    for (const control of page.querySelectorAll(`fieldset[data-side=${side}] input, fieldset[data-side=${side}] select`)) {
      control.addEventListener("input", () => show(side));
    }
    show(side);
  }
});
