// How an error comes down: one unit, its ways to the cost, the sum term by term, and two mistakes.
const net = $("net"), slider = $("step"), forget = $("forget"), forward = $("forward");
const L = DATA.widths.length, COLUMN = { 2: 82, 3: 278, 4: 474 }, COST = 596, MIDDLE = 222, ROW = 120, R = 30;
let unit = 0; // counted from 0, in the layer of the slider
const place = (l, j) => [COLUMN[l], MIDDLE + (j - (DATA.widths[l - 1] - 1) / 2) * ROW];
const show = (value, digits = 3) => value.toFixed(digits).replace("-", "−");
const bracket = text => text.startsWith("−") ? `(${text})` : text;
const W = l => DATA.weights[l - 2], slope = l => DATA.slopes[l - 2], right = l => DATA.deltas[l - 2];
const square = l => W(l).length === W(l)[0].length;
// the weight that meets δ of unit k when unit j of layer l is computed; W in place of Wᵀ needs a square matrix
const swapped = l => forward.checked && square(l + 1);
const weight = (l, j, k) => swapped(l) ? W(l + 1)[j][k] : W(l + 1)[k][j];
function errors() {
  const d = { [L]: DATA.gradient.map((g, j) => g * slope(L)[j]) };
  for (let l = L - 1; l >= 2; l--) d[l] = slope(l).map((s, j) =>
    d[l + 1].reduce((sum, delta, k) => sum + weight(l, j, k) * delta, 0) * (forget.checked ? 1 : s));
  return d;
}
const off = (value, truth) => Math.abs(value - truth) > 1e-9;
const largest = Math.max(...DATA.deltas.flat().map(Math.abs));
// a colour for an error: orange below 0, blue above, paler towards 0
function heat(value) {
  const t = Math.min(Math.abs(value) / largest, 1) * 0.55;
  const mix = to => Math.round(255 + (to - 255) * t);
  const [r, g, b] = value < 0 ? [213, 94, 0] : [0, 114, 178];
  return `rgb(${mix(r)},${mix(g)},${mix(b)})`;
}
const ix = (letter, upper, lower) => `<i>${letter}</i><span class="ix"><sup>${upper}</sup><sub>${lower}</sub></span>`;
function label(letter, upper, lower, x, y, parent) {
  const halo = "paint-order:stroke;stroke:#fff;stroke-width:4px;font-family:serif;";
  svg("text", { x, y, "text-anchor": "end", style: halo + "font-size:16px;font-style:italic" }, parent, letter);
  svg("text", { x: x + 1, y: y - 6, style: halo + "font-size:11px" }, parent, upper);
  svg("text", { x: x + 1, y: y + 5, style: halo + "font-size:11px" }, parent, lower);
}
function tag(x, y, text, colour, parent, bold) {
  svg("text", { x, y: y + 4, "text-anchor": "middle", class: "num",
    style: `paint-order:stroke;stroke:#fff;stroke-width:5px;fill:${colour};font-size:14px` + (bold ? ";font-weight:600" : "") }, parent, text);
}
function draw() {
  const l = +slider.value, d = errors();
  unit = Math.min(unit, DATA.widths[l - 1] - 1);
  $("layer").textContent = l;
  slider.setAttribute("aria-valuetext", "layer " + l);
  net.replaceChildren();
  for (let n = 2; n <= L; n++) {
    svg("text", { x: COLUMN[n], y: 16, "text-anchor": "middle", style: "font-weight:600" }, net, `layer ${n}`);
    svg("text", { x: COLUMN[n], y: 33, "text-anchor": "middle", style: "fill:var(--soft)" }, net,
      n < l ? "not yet" : n === L ? "by BP1" : "by BP2");
  }
  const on = n => n === l ? [unit] : DATA.widths[n - 1] ? [...Array(DATA.widths[n - 1]).keys()] : [];
  // all weights; those on a way from the chosen unit are drawn strong
  for (let n = 2; n < L; n++) W(n + 1).forEach((row, k) => row.forEach((w, j) => {
    const [x1, y1] = place(n, j), [x2, y2] = place(n + 1, k);
    const first = n === l && j === unit, above = n > l;
    svg("line", { x1, y1, x2, y2, class: first ? "first" : above ? "above" : "",
      stroke: first ? "var(--blue)" : above ? "#9cb8cf" : "var(--faint)", "stroke-width": first ? 2.6 : above ? 1.6 : 1 }, net);
  }));
  on(L).forEach(j => {
    const [x1, y1] = place(L, j), mine = l < L || j === unit;
    svg("line", { x1, y1, x2: COST, y2: MIDDLE, stroke: mine ? (l === L ? "var(--blue)" : "#9cb8cf") : "var(--faint)", "stroke-width": mine ? 2 : 1 }, net);
  });
  svg("circle", { cx: COST, cy: MIDDLE, r: 19, fill: "#fff", stroke: "var(--ink)", "stroke-width": 1.5 }, net);
  svg("text", { x: COST, y: MIDDLE + 6, "text-anchor": "middle", style: "font:italic 18px serif" }, net, "C");
  for (let n = 2; n <= L; n++) d[n].forEach((value, j) => {
    const [x, y] = place(n, j), chosen = n === l && j === unit, known = n >= l, wrong = known && off(value, right(n)[j]);
    const name = known ? `error of unit ${j + 1} of layer ${n}: ${show(value)}${wrong ? ", wrong" : ""}` : `unit ${j + 1} of layer ${n}, not computed yet`;
    const g = svg("g", { class: "unit", role: "button", tabindex: 0, "aria-pressed": chosen, "aria-label": name, "data-unit": `${n},${j}` }, net);
    svg("circle", { cx: x, cy: y, r: R, fill: known ? heat(value) : "#fff", stroke: chosen ? "var(--blue)" : "var(--line)",
      "stroke-width": chosen ? 4 : 1.3, "stroke-dasharray": known ? "" : "4 4" }, g);
    svg("text", { x, y: y + 5, "text-anchor": "middle", class: "num", style: "font-size:14px" }, g, known ? show(value) : "?");
    if (wrong) svg("text", { x: x - R - 2, y: y - R + 9, "text-anchor": "middle", style: "fill:#a1260d;font-size:19px;font-weight:700", class: "wrong" }, g, "✗");
    label("δ", n, j + 1, x, y + R + 17, g);
    g.addEventListener("click", () => choose(n, j));
    g.addEventListener("keydown", event => key(event, n, j));
  });
  const [x1, y1] = place(l, unit);
  if (l < L) d[l + 1].forEach((delta, k) => {
    const [x2, y2] = place(l + 1, k);
    tag(x1 + (x2 - x1) * 0.64, y1 + (y2 - y1) * 0.64, show(weight(l, unit, k), 2), "var(--blue)", net, true);
  });
  else tag((x1 + COST) / 2 + 6, (y1 + MIDDLE) / 2, show(DATA.gradient[unit], 2), "var(--blue)", net, true);
  const gone = l < L && forget.checked;
  tag(x1 - 18, y1 - R - 15, gone ? "σ′ forgotten" : `σ′ = ${show(slope(l)[unit], 2)}`, gone ? "#a1260d" : "var(--green)", net, true);
  svg("text", { x: 320, y: 424, "text-anchor": "middle", style: "fill:var(--soft)" }, net, "number in a circle: δ (blue above 0, orange below); on a line: what it is multiplied by");
  panel(l, d);
  speak(l, d);
}
function panel(l, d) {
  const j = unit + 1, s = slope(l)[unit], z = ix("z", l, j);
  if (l === L) {
    $("matrixname").innerHTML = "The last layer: nothing comes from above";
    $("matrix").replaceChildren();
    $("general").innerHTML = `${ix("δ", l, j)} = <i>∂C</i>/<i>∂</i>${ix("a", l, j)} · σ′(${z})`;
    $("numbers").innerHTML = `≈ ${bracket(show(DATA.gradient[unit]))} · ${show(s)} ≈ <b>${show(d[l][unit])}</b>`;
  } else {
    const M = W(l + 1), table = document.createElement("table"), head = table.insertRow();
    $("matrixname").innerHTML = `<span class="math"><i>W</i><sup>${l + 1}</sup></span>, to layer ${l + 1} from layer ${l}`;
    head.insertCell().style.border = 0;
    M[0].forEach((_, c) => head.appendChild(Object.assign(document.createElement("th"), { scope: "col", textContent: `from ${c + 1}` })));
    M.forEach((row, r) => {
      const line = table.insertRow();
      line.appendChild(Object.assign(document.createElement("th"), { scope: "row", textContent: `to ${r + 1}` }));
      row.forEach((w, c) => {
        const cell = line.insertCell();
        cell.textContent = show(w, 2);
        if ((swapped(l) ? r : c) === unit) cell.className = "in";
      });
    });
    $("matrix").replaceChildren(table);
    const pair = k => swapped(l) ? `${j}${k + 1}` : `${k + 1}${j}`;
    const terms = d[l + 1].map((_, k) => `${ix("W", l + 1, pair(k))} ${ix("δ", l + 1, k + 1)}`);
    const values = d[l + 1].map((delta, k) => `${bracket(show(weight(l, unit, k), 2))}·${bracket(show(delta))}`);
    const tail = forget.checked ? ["", ""] : [` · σ′(${z})`, ` · ${show(s)}`];
    $("general").innerHTML = `${ix("δ", l, j)} = ( ${terms.join(" + ")} )${tail[0]}`;
    $("numbers").innerHTML = `≈ ( ${values.join(" + ")} )${tail[1]} ≈ <b>${show(d[l][unit])}</b>`;
  }
  const truth = DATA.measured[l - 2][unit], wrong = off(d[l][unit], truth), ratio = d[l][unit] / truth;
  $("verdict").className = wrong ? "verdict off" : "verdict";
  $("verdict").innerHTML = `Measured, by moving ${z} and watching <i>C</i>: <b class="num">${show(truth)}</b> ` +
    (wrong ? `✗ the sum is off by ${show(d[l][unit] - truth)}: ${Math.abs(ratio) < 100 ? show(ratio, 2) + " times the true derivative" : "nothing like the true derivative"}.` : "✓ the same.");
}
function speak(l, d) {
  const j = unit + 1, math = html => `<span class="math">${html}</span>`, z = math(ix("z", l, j)), text = [];
  if (l === L) text.push(`${z} reaches the cost through its own activation alone: one way, two factors. ` +
    `Go one layer down with the slider.`);
  else {
    const next = DATA.widths[l];
    let ways = next;
    for (let n = l + 1; n < L; n++) ways *= DATA.widths[n];
    const saved = ways > next
      ? `${ways} ways lead from ${z} to the cost, but only ${next} products are needed: each error of layer ${l + 1} already holds the rest of its ways.`
      : `${z} reaches the cost in ${ways} ways, one through each unit of layer ${l + 1}.`;
    text.push(saved + (swapped(l) ? "" : ` Forwards, a unit uses its <b>row</b> of W; backwards it collects along its <b>column</b>, which is a row of Wᵀ.`));
  }
  const broken = [];
  let counted = 0;
  for (let n = l; n <= L; n++) {
    const count = d[n].filter((value, i) => off(value, right(n)[i])).length;
    counted += d[n].length;
    if (count) broken.push([n, count]);
  }
  if (forget.checked || forward.checked) {
    const sum = broken.reduce((all, [, count]) => all + count, 0);
    text.push(`<b>${sum} of ${counted} errors are wrong</b>` + (sum
      ? `, though the output layer is right: who looks there alone finds nothing, and such a network may even train. ` +
        (forget.checked ? "One factor σ′ is lost for each hidden layer on the way." : "")
      : forget.checked ? ": the output layer has its σ′. Go down." : "."));
  }
  if (forward.checked) text.push(l === L ? "No weights are used in BP1." : square(l + 1)
    ? `W<sup>${l + 1}</sup> is square (${W(l + 1).length} × ${W(l + 1).length}), so W δ has the right shape and nothing complains. Its numbers are wrong.`
    : `W<sup>${l + 1}</sup> is ${W(l + 1).length} × ${W(l + 1)[0].length}: W δ does not fit, NumPy stops, and Wᵀ is used here instead. Unequal widths find this mistake by themselves. Go down to layer 2.`);
  $("says").innerHTML = text.map(t => `<p>${t}</p>`).join("");
}
function choose(l, j) {
  slider.value = l; unit = j;
  draw();
}
function key(event, l, j) {
  const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], Enter: [0, 0], " ": [0, 0] }[event.key];
  if (!step) return;
  event.preventDefault();
  const to = Math.min(Math.max(l + step[0], 2), L);
  choose(to, Math.min(Math.max(j + step[1], 0), DATA.widths[to - 1] - 1));
  document.querySelector(`[data-unit="${slider.value},${unit}"]`).focus();
}
for (const node of [slider, forget, forward]) for (const kind of ["input", "change"]) node.addEventListener(kind, draw);
draw();
