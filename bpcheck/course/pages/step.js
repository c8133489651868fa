// Error of three difference formulas against the step h, computed here in float64 for every h.
// f(x) must be the same function as in figures.py; a test compares the two.
const F = {
  exp: { f: x => Math.exp(x), im: (x, h) => Math.exp(x) * Math.sin(h) },
  wave: { f: x => Math.sin(50 * x), im: (x, h) => Math.cos(50 * x) * Math.sinh(50 * h) },
  offset: { f: x => Math.exp(x) + 1e6, im: (x, h) => Math.exp(x) * Math.sin(h) },
  near: { f: x => Math.max(x, 0) + Math.sin(x), im: (x, h) => (x > 0 ? h : 0) + Math.cos(x) * Math.sinh(h) },
  kink: { f: x => Math.max(x, 0) + Math.sin(x), im: (x, h) => (x > 0 ? h : 0) + Math.cos(x) * Math.sinh(h) },
};
const RULES = {
  forward: (d, h) => (F[d.key].f(d.x + h) - F[d.key].f(d.x)) / h,
  central: (d, h) => (F[d.key].f(d.x + h) - F[d.key].f(d.x - h)) / (2 * h),
  complex: (d, h) => F[d.key].im(d.x, h) / h,
};
const STYLE = {
  forward: { colour: "var(--orange)", name: "forward", dash: "", mark: "square" },
  central: { colour: "var(--blue)", name: "central", dash: "", mark: "circle" },
  complex: { colour: "var(--green)", name: "complex step", dash: "7 4", mark: "diamond" },
};
const LEFT = 64, RIGHT = 884, TOP = 14, BOTTOM = 372;
const X = [-16, 0], Y = [-17, 2];
const PER_DECADE = 24;
const px = lg => LEFT + (lg - X[0]) / (X[1] - X[0]) * (RIGHT - LEFT);
const py = lg => BOTTOM - (Math.min(Math.max(lg, Y[0]), Y[1]) - Y[0]) / (Y[1] - Y[0]) * (BOTTOM - TOP);
const plot = $("plot"), which = $("which"), slider = $("h"), parts = $("parts");
const error = (d, rule, h) => Math.abs(RULES[rule](d, h) - d.truth) / Math.abs(d.truth);
// the two parts of the textbook's error bound, relative to the derivative
function bounds(d, rule, h) {
  const size = Math.abs(d.truth);
  return rule === "forward"
    ? [h * Math.abs(d.second) / 2 / size, 2 * d.noise / h / size]
    : [h * h * Math.abs(d.third) / 6 / size, d.noise / h / size];
}
const SUP = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = n => "10" + String(n).replace(/./g, c => SUP[c]);
function short(value) {
  if (value === 0) return "0";
  if (!isFinite(value)) return "no number";
  if (value >= 0.01 && value < 100) return String(+value.toPrecision(2));
  const [mantissa, exponent] = value.toExponential(1).split("e");
  return `${mantissa} · ${power(+exponent)}`;
}
function line(points, attributes, parent) {
  const d = points.map((p, i) => (i ? "L" : "M") + p[0].toFixed(1) + " " + p[1].toFixed(1)).join("");
  return svg("path", { d, fill: "none", ...attributes }, parent);
}
const steps = [];
for (let n = 0; n <= (X[1] - X[0]) * PER_DECADE; n++) steps.push(X[0] + n / PER_DECADE);
function mark(shape, x, y, colour, parent) {
  const common = { fill: colour, stroke: "#fff", "stroke-width": 1.5 };
  if (shape === "circle") svg("circle", { cx: x, cy: y, r: 6, ...common }, parent);
  else if (shape === "square") svg("rect", { x: x - 5.5, y: y - 5.5, width: 11, height: 11, ...common }, parent);
  else svg("path", { d: `M${x} ${y - 8}L${x + 7} ${y}L${x} ${y + 8}L${x - 7} ${y}Z`, ...common }, parent);
}
function draw() {
  const d = DATA.functions[which.selectedIndex], h = 10 ** +slider.value;
  plot.replaceChildren();
  for (let n = X[0]; n <= X[1]; n += 2) {
    svg("line", { x1: px(n), x2: px(n), y1: TOP, y2: BOTTOM, stroke: "var(--faint)" }, plot);
    svg("text", { x: px(n), y: BOTTOM + 19, "text-anchor": "middle" }, plot, power(n));
  }
  for (let n = Y[0] + 1; n <= Y[1]; n += 2) {
    svg("line", { x1: LEFT, x2: RIGHT, y1: py(n), y2: py(n), stroke: "var(--faint)" }, plot);
    svg("text", { x: LEFT - 8, y: py(n) + 4, "text-anchor": "end" }, plot, power(n));
  }
  svg("text", { x: LEFT - 8, y: BOTTOM + 4, "text-anchor": "end" }, plot, "0");
  svg("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 40, "text-anchor": "middle" }, plot, "step h");
  const label = svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(16 ${(TOP + BOTTOM) / 2}) rotate(-90)` }, plot);
  label.textContent = d.interval ? "distance from the right-hand slope, relative" : "relative error of the derivative";
  if (parts.checked && !d.interval) for (const rule of ["forward", "central"]) for (const k of [0, 1]) {
    const points = steps.map(n => [n, Math.log10(bounds(d, rule, 10 ** n)[k])])
      .filter(p => p[1] > Y[0] && p[1] < Y[1]).map(p => [px(p[0]), py(p[1])]);
    if (points.length > 1) {
      line(points, { stroke: STYLE[rule].colour, "stroke-width": 1.4, "stroke-dasharray": k ? "2 4" : "9 4", opacity: 0.75, class: "part" }, plot);
    }
  }
  svg("line", { x1: px(+slider.value), x2: px(+slider.value), y1: TOP, y2: BOTTOM, stroke: "var(--ink)", "stroke-width": 1, "stroke-dasharray": "3 3" }, plot);
  for (const rule in RULES) {
    const style = STYLE[rule];
    const points = steps.map(n => [px(n), py(Math.log10(Math.max(error(d, rule, 10 ** n), 1e-18)))]);
    line(points, { stroke: style.colour, "stroke-width": 1.8, "stroke-dasharray": style.dash, class: "curve " + rule, "stroke-linejoin": "round" }, plot);
  }
  for (const rule in RULES) {
    mark(STYLE[rule].mark, px(+slider.value), py(Math.log10(Math.max(error(d, rule, h), 1e-18))), STYLE[rule].colour, plot);
  }
  const said = d.bpcheck;
  if (!d.interval && said.step) {
    const x = px(Math.log10(said.step)), y = py(Math.log10(said.error / Math.abs(d.truth)));
    svg("line", { x1: x, x2: x, y1: y, y2: BOTTOM, stroke: "var(--pink)", "stroke-width": 3, class: "bar" }, plot);
    svg("line", { x1: x - 9, x2: x + 9, y1: y, y2: y, stroke: "var(--pink)", "stroke-width": 3 }, plot);
    const left = x > RIGHT - 160;
    svg("text", { x: left ? x - 13 : x + 13, y: y + 4, "text-anchor": left ? "end" : "start", style: "fill:var(--pink);font-weight:600;paint-order:stroke;stroke:#fff;stroke-width:4px" }, plot, "bpcheck’s error bar");
  }
  legend(d);
  speak(d, h);
}
function legend(d) {
  const entries = Object.keys(RULES).map(rule => [STYLE[rule].name, STYLE[rule].colour, STYLE[rule].dash, STYLE[rule].mark, 110]);
  entries[2][4] = 130;
  if (parts.checked && !d.interval) entries.push(["truncation", "var(--soft)", "9 4", "", 118], ["rounding", "var(--soft)", "2 4", "", 110]);
  const y = BOTTOM + 62;
  let x = LEFT + 6;
  const group = svg("g", { "aria-hidden": "true" }, plot);
  for (const [text, colour, dash, shape, width] of entries) {
    svg("line", { x1: x, x2: x + 26, y1: y, y2: y, stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }, group);
    if (shape) mark(shape, x + 13, y, colour, group);
    svg("text", { x: x + 33, y: y + 4 }, group, text);
    x += width + 22;
  }
}
function speak(d, h) {
  const at = `<span class="num">${short(h)}</span>`;
  $("hvalue").textContent = short(h);
  slider.setAttribute("aria-valuetext", "h = " + short(h));
  const e = {};
  for (const rule in RULES) e[rule] = error(d, rule, h);
  const said = d.bpcheck, text = [];
  if (d.interval) {
    const slope = rule => `<b class="num">${RULES[rule](d, h).toPrecision(6)}</b>`;
    text.push(`At <i>h</i> = ${at} the forward difference says ${slope("forward")}, the central one ${slope("central")}, the complex step ${slope("complex")}. ` +
      (h < 1e-13 ? "Rounding has taken most of their digits, and no step can settle it: " : "No step can settle it: ") +
      "at a kink there is no derivative, only a slope to the left and one to the right.");
    text.push(`bpcheck answers with an interval: [${said.interval.map(v => v.toPrecision(6)).join(", ")}]. Every number in it is a valid choice.`);
  } else {
    const [cut, noise] = bounds(d, "central", h);
    const lost = F[d.key].f(d.x + h) === F[d.key].f(d.x - h);
    const across = d.kink !== undefined && h > Math.abs(d.x - d.kink);
    let why;
    if (lost) why = "f(x + h) and f(x − h) are the same floating-point number: nothing is left to divide.";
    else if (across) why = "The step reaches across the kink, to where the function has another slope. Taylor’s formula does not hold over a kink, so the dashed lines are of no use here.";
    else if (cut > 10 * noise) why = `h is too large: truncation (up to ${short(cut)}) outweighs rounding.`;
    else if (noise > 10 * cut) why = `h is too small: rounding (up to about ${short(noise)}) outweighs truncation.`;
    else why = "This is the bottom of the V: truncation and rounding are about equal.";
    text.push(`At <i>h</i> = ${at} the central difference is off by <b class="num">${short(e.central)}</b>, the forward difference by <b class="num">${short(e.forward)}</b>. ${why}`);
    const step = e.complex < 1e-15 ? "is right to the last digits" : `is off by ${short(e.complex)}`;
    text.push(`The complex step ${step}: it subtracts nothing, so a small h costs it nothing. ` +
      `bpcheck.derivative() chose h = ${short(said.step)} with extrapolation: off by ${short(said.off / Math.abs(d.truth))}, and it promises no more than ${short(said.error / Math.abs(d.truth))}.`);
  }
  $("says").innerHTML = text.map(t => `<p>${t}</p>`).join("");
}
for (const d of DATA.functions) which.add(new Option(d.label, d.key));
for (const node of [which, slider, parts]) for (const kind of ["input", "change"]) node.addEventListener(kind, draw);
draw();
