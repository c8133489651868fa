// Gradient descent with momentum in the bowl C = ½(h₁x² + h₂y²), v ← μv + g, w ← w − ηv; computed here.
const [LOW, HIGH] = DATA.curvatures, STEPS = DATA.steps;
const plot = $("plot"), eta = $("eta"), mu = $("mu");
const cost = ([x, y]) => (LOW * x * x + HIGH * y * y) / 2;
function descend(rate, momentum) {
  const path = [DATA.start.slice()], v = [0, 0];
  for (let n = 0; n < STEPS; n++) {
    const w = path[n];
    [LOW, HIGH].forEach((h, k) => { v[k] = momentum * v[k] + h * w[k]; });
    path.push([w[0] - rate * v[0], w[1] - rate * v[1]]);
  }
  return path;
}
// by what a step multiplies the distance in the long run: the larger root of r² − (1 + μ − ηh)r + μ = 0
function factor(rate, momentum, h) {
  const b = 1 + momentum - rate * h, inside = b * b - 4 * momentum;
  return inside < 0 ? Math.sqrt(momentum) : (Math.abs(b) + Math.sqrt(inside)) / 2;
}
const CX = 285, CY = 168, UNIT = 25, LEFT = 648, RIGHT = 886, TOP = 16, BOTTOM = 296, Y = [-8, 4];
const px = p => [CX + p[0] * UNIT, CY - p[1] * UNIT * 1.9];
const SUP = { "-": "⁻", 2: "²", 4: "⁴", 6: "⁶", 8: "⁸" };
function draw() {
  const rate = +eta.value, momentum = +mu.value, path = descend(rate, momentum), first = cost(path[0]);
  $("etavalue").textContent = rate.toFixed(3);
  $("muvalue").textContent = momentum.toFixed(2);
  plot.replaceChildren();
  svg("rect", { x: 10, y: 10, width: 550, height: 316, fill: "var(--wash)" }, plot);
  const bowl = svg("g", {}, plot);
  for (let r = 1; r <= 14; r++) {
    svg("ellipse", { cx: CX, cy: CY, rx: r * 1.4 * UNIT / Math.sqrt(LOW), ry: r * 1.4 * UNIT * 1.9 / Math.sqrt(HIGH), fill: "none", stroke: "#c9c9c4" }, bowl);
  }
  const drawn = path.map(px).map(p => p.map(v => Math.max(-5000, Math.min(5000, v))));
  const d = drawn.map((p, i) => (i ? "L" : "M") + p[0].toFixed(1) + " " + p[1].toFixed(1)).join("");
  svg("path", { d, fill: "none", stroke: "var(--blue)", "stroke-width": 1.6, id: "path" }, bowl);
  drawn.forEach((p, i) => svg("circle", { cx: p[0], cy: p[1], r: i ? 3 : 6, fill: i ? "var(--blue)" : "var(--orange)" }, bowl));
  svg("path", { d: `M${CX - 6} ${CY}H${CX + 6}M${CX} ${CY - 6}V${CY + 6}`, stroke: "var(--pink)", "stroke-width": 2.5 }, bowl);
  // what leaves the frame is covered, and cut off at the edge of the picture
  for (const [x, y, width, height] of [[0, 0, 900, 10], [0, 0, 10, 350], [0, 326, 900, 24], [560, 0, 340, 350]]) {
    svg("rect", { x, y, width, height, fill: "#fff" }, plot);
  }
  svg("rect", { x: 10, y: 10, width: 550, height: 316, fill: "none", stroke: "var(--faint)" }, plot);
  svg("text", { x: 10, y: 344 }, plot, `The bowl from above: curvature ${LOW} to the side, ${HIGH} up and down; ${STEPS} steps.`);
  const py = c => BOTTOM - (Math.min(Math.max(Math.log10(c / first), Y[0]), Y[1]) - Y[0]) / (Y[1] - Y[0]) * (BOTTOM - TOP);
  const qx = n => LEFT + n / STEPS * (RIGHT - LEFT);
  for (let n = Y[0]; n <= Y[1]; n += 2) {
    const y = py(first * 10 ** n);
    svg("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, stroke: n ? "var(--faint)" : "var(--line)" }, plot);
    svg("text", { x: LEFT - 7, y: y + 4, "text-anchor": "end" }, plot, n ? "10" + String(n).replace(/./g, c => SUP[c]) : "1");
  }
  for (let n = 0; n <= STEPS; n += 20) svg("text", { x: qx(n), y: BOTTOM + 18, "text-anchor": "middle" }, plot, String(n));
  svg("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 38, "text-anchor": "middle" }, plot, "step");
  svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(592 ${(TOP + BOTTOM) / 2}) rotate(-90)` }, plot, "cost, that of the start is 1");
  const curve = path.map((p, n) => (n ? "L" : "M") + qx(n).toFixed(1) + " " + py(cost(p)).toFixed(1)).join("");
  svg("path", { d: curve, fill: "none", stroke: "var(--blue)", "stroke-width": 2 }, plot);
  speak(rate, momentum, path, first);
}
function speak(rate, momentum, path, first) {
  const factors = [LOW, HIGH].map(h => factor(rate, momentum, h)), worst = Math.max(...factors);
  const done = path.findIndex(p => cost(p) < 1e-3 * first);
  const number = v => `<b class="num">${v.toFixed(3).replace("-", "−")}</b>`;
  let why;
  if (worst > 1 + 1e-9) why = "It diverges: in the steep direction every step overshoots by more than it had to go.";
  else if (worst > 1 - 1e-9) why = "It neither comes nearer nor goes away: the steep direction jumps from side to side.";
  else if (momentum === 0 && 1 - rate * HIGH < 0) why = "In the steep direction it overshoots the bottom at every step, and still comes nearer.";
  else if (momentum > 0 && factors[0] > factors[1] + 1e-9) why = "The shallow direction is the slower one.";
  else if (momentum > 0 && factors[1] > factors[0] + 1e-9) why = "The steep direction overshoots, and is the slower one.";
  else if (momentum > 0) why = "The momentum carries it past the bottom and back; in both directions its swings shrink.";
  else why = "It creeps: the steep direction arrives soon, the shallow one takes its time.";
  const how = momentum === 0
    ? `A step multiplies the distance by 1 − ηh: by ${number(1 - rate * LOW)} in the shallow direction, by ${number(1 - rate * HIGH)} in the steep one.`
    : `In the long run a step multiplies the distance by ${number(factors[0])} in the shallow direction, by ${number(factors[1])} in the steep one.`;
  const reached = done < 0 ? `After ${STEPS} steps the cost is not yet a thousandth.` : `The cost is a thousandth after <b class="num">${done}</b> steps.`;
  $("says").innerHTML = `<p>${how} ${why}</p><p>${worst > 1 + 1e-9 ? "" : reached}</p>`;
  eta.setAttribute("aria-valuetext", "η = " + rate.toFixed(3));
  mu.setAttribute("aria-valuetext", "μ = " + momentum.toFixed(2));
}
for (const node of [eta, mu]) node.addEventListener("input", draw);
draw();
