// One unit at a time: its row of W, its sum, in the symbols of the chosen book.
const net = $("net"), book = $("book"), example = $("example");
const L = DATA.widths.length, TOP = 76, ROW = 88, COLUMN = [70, 260, 450];
const MIDDLE = TOP + 1.5 * ROW;
let layer = 2, unit = 1, from = null; // layer counts from 1, unit and from count from 0
const place = (l, j) => [COLUMN[l - 1], MIDDLE + (j - (DATA.widths[l - 1] - 1) / 2) * ROW];
const show = (value, digits) => value.toFixed(digits).replace("-", "−");
const bracket = text => text.startsWith("−") ? `(${text})` : text;
const fill = (template, values) => template.replace(/\{(\w)\}/g, (all, key) => key in values ? values[key] : all);
const convention = () => DATA.conventions[book.selectedIndex];
// an HTML symbol as SVG: the letter, with its indices one above the other to the right of x
function symbol(html, x, y, parent) {
  const [, upper = ""] = html.match(/<sup>(.*?)<\/sup>/) || [], [, lower = ""] = html.match(/<sub>(.*?)<\/sub>/) || [];
  const letter = html.replace(/<su[bp]>.*?<\/su[bp]>|<[^>]*>/g, "");
  const halo = "paint-order:stroke;stroke:#fff;stroke-width:4px;font-family:serif;";
  const long = letter.length > 1; // "output" and the like: centred as a whole
  svg("text", { x: long ? x + 3 * letter.length : x, y, "text-anchor": "end", style: halo + (long ? "" : "font-size:16px;font-style:italic") }, parent, letter);
  const at = { x: (long ? x + 3 * letter.length : x) + 1, "text-anchor": "start" };
  if (upper) svg("text", { ...at, y: y - 6, style: halo + "font-size:11px" }, parent, upper);
  if (lower) svg("text", { ...at, y: y + 5, style: halo + "font-size:11px" }, parent, lower);
}
function values(l, j, k) {
  return { l, m: l - 1, p: l - 2, j, k };
}
function prev(c, l) { return l === 2 ? c.first : c.prev; }
function draw() {
  const c = convention(), i = example.selectedIndex;
  net.replaceChildren();
  for (let l = 1; l <= L; l++) {
    const kind = l === 1 ? "input" : l === L ? "output" : "hidden";
    svg("text", { x: COLUMN[l - 1], y: 16, "text-anchor": "middle", style: "font-weight:600" }, net, `layer ${l}`);
    svg("text", { x: COLUMN[l - 1], y: 33, "text-anchor": "middle", style: "fill:var(--soft)" }, net, `${kind}, ${DATA.widths[l - 1]} units`);
  }
  const edges = svg("g", {}, net);
  for (let l = 2; l <= L; l++) DATA.params[l - 2].weight.forEach((row, j) => row.forEach((w, k) => {
    const [x1, y1] = place(l - 1, k), [x2, y2] = place(l, j);
    const mine = l === layer && j === unit, on = mine && k === from;
    const at = { x1, y1, x2, y2 };
    svg("line", { ...at, stroke: on ? "var(--blue)" : mine ? (w < 0 ? "var(--orange)" : "var(--green)") : "var(--faint)",
      "stroke-width": on ? 6 : mine ? 1.2 + 3 * Math.abs(w) : 1.2, "stroke-dasharray": w < 0 ? "7 4" : "" }, edges);
    const wide = svg("line", { ...at, stroke: "transparent", "stroke-width": 12, class: "edge" }, edges);
    wide.addEventListener("click", () => choose(l, j, k));
  }));
  for (let l = 1; l <= L; l++) DATA.a[l - 1][i].forEach((a, j) => {
    const [x, y] = place(l, j), chosen = l === layer && j === unit;
    const feeds = l === layer - 1;
    const name = fill(l === 1 ? prev(c, 2) : c.act, l === 1 ? values(2, 0, j + 1) : values(l, j + 1, 0));
    const label = `unit ${j + 1} of layer ${l}, activation ${show(a, 2)}`;
    const g = svg("g", l === 1 ? { "aria-label": label, role: "img" }
      : { class: "unit", role: "button", tabindex: 0, "aria-pressed": chosen, "aria-label": label, "data-unit": `${l},${j}` }, net);
    svg("circle", { cx: x, cy: y, r: 24, fill: chosen ? "var(--mark)" : "#fff",
      stroke: chosen ? "var(--blue)" : feeds ? "var(--ink)" : "var(--line)", "stroke-width": chosen ? 3 : 1.5 }, g);
    svg("text", { x, y: y + 5, "text-anchor": "middle", class: "num" }, g, show(a, 2));
    symbol(name, x, y + 41, g);
    if (l > 1) {
      g.addEventListener("click", () => choose(l, j, null));
      g.addEventListener("keydown", event => key(event, l, j));
    }
  });
  svg("text", { x: 260, y: 416, "text-anchor": "middle", style: "fill:var(--soft)" }, net, "green: positive weight; orange, dashed: negative");
  panel(c, i);
}
function panel(c, i) {
  const l = layer, W = DATA.params[l - 2].weight, b = DATA.params[l - 2].bias;
  const out = W.length, into = W[0].length;
  $("matrixname").innerHTML = `<span class="math">${fill(c.matrix, values(l, "", ""))}</span> holds the weights into layer ${l}`;
  const table = document.createElement("table");
  const rows = c.transposed ? into : out, columns = c.transposed ? out : into;
  const head = table.insertRow();
  head.insertCell();
  for (let n = 1; n <= columns; n++) head.appendChild(Object.assign(document.createElement("th"), { scope: "col", textContent: c.transposed ? `to ${n}` : `from ${n}` }));
  for (let r = 0; r < rows; r++) {
    const row = table.insertRow();
    row.appendChild(Object.assign(document.createElement("th"), { scope: "row", textContent: c.transposed ? `from ${r + 1}` : `to ${r + 1}` }));
    for (let n = 0; n < columns; n++) {
      const [j, k] = c.transposed ? [n, r] : [r, n];
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = show(W[j][k], 2);
      button.className = j === unit ? (k === from ? "on" : "in") : "";
      button.setAttribute("aria-label", `weight from unit ${k + 1} to unit ${j + 1}: ${show(W[j][k], 2)}`);
      button.setAttribute("aria-pressed", j === unit && k === from);
      button.dataset.weight = `${j},${k}`;
      button.addEventListener("click", () => { choose(l, j, k); document.querySelector(`[data-weight="${j},${k}"]`).focus(); });
      row.insertCell().appendChild(button);
    }
  }
  $("matrix").replaceChildren(table);
  const size = c.transposed ? `(${into}, ${out}) = (in, out)` : `(${out}, ${into}) = (out, in)`;
  const line = c.transposed ? "column" : "row";
  $("shape").textContent = `Shape ${size}. The ${line} of the chosen unit is marked.`;
  const a = DATA.a[l - 2][i], z = DATA.z[l - 1][i][unit];
  const pre = fill(c.pre, values(l, unit + 1, 0));
  const sum = `<span style="font-style:normal">Σ</span><sub><i>${c.below}</i></sub>`;
  const letters = v => `<i>${v}</i>`;
  $("general").innerHTML = fill(c.pre, values(l, letters(c.unit), 0)) + ` = ${sum} ` +
    fill(c.weight, values(l, letters(c.unit), letters(c.below))) + " " +
    fill(prev(c, l), values(l, 0, letters(c.below))) + " + " + fill(c.bias, values(l, letters(c.unit), 0)) +
    ` , &nbsp; ` + fill(c.act, values(l, letters(c.unit), 0)) + " = " + (l < L ? `${c.sigma}(${fill(c.pre, values(l, letters(c.unit), 0))})` : fill(c.pre, values(l, letters(c.unit), 0)));
  const terms = W[unit].map((w, k) => {
    const term = `${bracket(show(w, 2))}·${bracket(show(a[k], 2))}`;
    return k === from ? `<b>${term}</b>` : term;
  });
  $("numbers").innerHTML = `${pre} ≈ ${terms.join(" + ")} + ${bracket(show(b[unit], 2))} ≈ <b>${show(z, 2)}</b>`;
  $("code").textContent = fill(c.code, values(l, "", ""));
  speak(c, i, z);
}
function speak(c, i, z) {
  const l = layer, a = DATA.a[l - 1][i][unit], below = DATA.widths[l - 2];
  const act = fill(c.act, values(l, unit + 1, 0)), pre = fill(c.pre, values(l, unit + 1, 0));
  const math = html => `<span class="math">${html}</span>`;
  const first = `Unit ${unit + 1} of layer ${l}, example ${i + 1}: ${below} products and a bias add up to ${math(pre)} = ${show(z, 3)}. ` +
    (l < L ? `Through tanh it becomes ${math(act)} = ${show(a, 3)}.` : `The output layer is linear here, so ${math(act)} is the same number.`);
  const chosen = from === null ? "" : ` The weight ${math(fill(c.weight, values(l, unit + 1, from + 1)))} = ${show(DATA.params[l - 2].weight[unit][from], 2)} leads from unit ${from + 1} of layer ${l - 1} to unit ${unit + 1} of layer ${l}.`;
  $("says").innerHTML = `<p>${first}${chosen}</p><p><b>${c.label}.</b> ${fill(c.note, values(l, "", ""))}</p>`;
}
function choose(l, j, k) {
  layer = l; unit = j; from = k;
  draw();
}
function key(event, l, j) {
  const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], Enter: [0, 0], " ": [0, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const to = Math.min(Math.max(l + step[0], 2), L);
  const next = Math.min(Math.max(j + step[1], 0), DATA.widths[to - 1] - 1);
  choose(to, next, null);
  document.querySelector(`[data-unit="${to},${next}"]`).focus();
}
for (const c of DATA.conventions) book.add(new Option(c.label, c.key));
DATA.a[0].forEach((row, i) => example.add(new Option(`${i + 1} of ${DATA.a[0].length}`, i)));
for (const node of [book, example]) for (const kind of ["input", "change"]) node.addEventListener(kind, draw);
draw();
