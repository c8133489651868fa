// Descent with momentum on C(w) = (w² − 1)² + tilt·w from one start, and from all of them; computed here.
const { tilt: TILT, minima: MINIMA, top: HILL, starts: STARTS, steps: STEPS, reach: REACH, rates: RATES } = DATA;
const plot = $("plot"), start = $("start"), mu = $("mu"), eta = $("eta");
const C = w => (w * w - 1) ** 2 + TILT * w, slope = w => 4 * w * (w * w - 1) + TILT;
function roll(w, rate, momentum, path) {
  let v = 0;
  for (let n = 0; n < STEPS; n++) {
    if (path) path.push(w);
    v = momentum * v + slope(w);
    w -= rate * v;
  }
  return w;
}
const ended = w => MINIMA.findIndex(m => Math.abs(w - m) < 0.01);
function count(rate, momentum) {
  const found = [];
  for (let n = 0; n < STARTS; n++) {
    const w = -REACH + 2 * REACH * n / (STARTS - 1);
    found.push([w, w < HILL ? 0 : 1, ended(roll(w, rate, momentum))]);
  }
  return found;
}
const LEFT = 60, RIGHT = 886, TOP = 20, BOTTOM = 262;
// the square root of the height over a little below the lower minimum: the valleys would be flat beside the walls
const DEPTH = 0.4, HIGH = C(REACH);
const px = w => LEFT + (w + REACH) / (2 * REACH) * (RIGHT - LEFT);
const py = c => BOTTOM - Math.sqrt((Math.min(c, HIGH) + DEPTH) / (HIGH + DEPTH)) * (BOTTOM - TOP);
const COLOUR = ["var(--blue)", "#e8a35c"];
function draw() {
  const w0 = +start.value, momentum = +mu.value, rate = RATES[eta.selectedIndex], path = [];
  const end = ended(roll(w0, rate, momentum, path)), home = w0 < HILL ? 0 : 1;
  $("startvalue").textContent = w0.toFixed(2).replace("-", "−");
  $("muvalue").textContent = momentum.toFixed(2);
  plot.replaceChildren();
  const points = [];
  for (let n = 0; n <= 400; n++) { const w = -REACH + n / 100; if (C(w) <= HIGH) points.push([px(w), py(C(w))]); }
  svg("path", { d: points.map((p, i) => (i ? "L" : "M") + p[0].toFixed(1) + " " + p[1].toFixed(1)).join(""), fill: "none", stroke: "var(--ink)", "stroke-width": 2 }, plot);
  MINIMA.forEach((m, k) => svg("text", { x: px(m), y: py(C(m)) + 22, "text-anchor": "middle" }, plot, k ? "higher minimum" : "lower minimum"));
  svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(40 ${(TOP + BOTTOM) / 2}) rotate(-90)` }, plot, "cost (as a square root)");
  const shown = path.filter((_, n) => n < 60 || n % 10 === 0).slice(0, 150);
  shown.forEach((w, n) => svg("circle", { cx: px(w), cy: py(C(w)), r: 4, fill: "var(--pink)", opacity: n ? 0.35 : 1 }, plot));
  svg("circle", { cx: px(w0), cy: py(C(w0)), r: 8, fill: "#fff", stroke: "var(--pink)", "stroke-width": 3 }, plot);
  if (end >= 0) svg("circle", { cx: px(MINIMA[end]), cy: py(C(MINIMA[end])), r: 8, fill: "var(--pink)", stroke: "#fff", "stroke-width": 2, id: "end" }, plot);
  const all = count(rate, momentum), wide = (RIGHT - LEFT) / (STARTS - 1) + 0.4;
  all.forEach(([w, was, now]) => {
    svg("rect", { x: px(w) - wide / 2, y: 304, width: wide, height: 22, "shape-rendering": "crispEdges", fill: now < 0 ? "#999" : COLOUR[now] }, plot);
    if (now !== was) svg("rect", { x: px(w) - wide / 2, y: 330, width: wide, height: 7, "shape-rendering": "crispEdges", fill: "var(--ink)", class: "moved" }, plot);
  });
  svg("line", { x1: px(HILL), x2: px(HILL), y1: py(C(HILL)), y2: 345, stroke: "var(--line)", "stroke-dasharray": "4 3" }, plot);
  for (let w = -2; w <= 2; w++) svg("text", { x: px(w), y: 362, "text-anchor": "middle" }, plot, String(w).replace("-", "−"));
  svg("path", { d: `M${px(w0)} 303l-6 -9h12Z`, fill: "var(--pink)" }, plot);
  let x = LEFT;
  for (const [colour, text, width] of [[COLOUR[0], "ends in the lower minimum", 210], [COLOUR[1], "ends in the higher one", 190], ["var(--ink)", "not the valley that it began in", 240]]) {
    svg("rect", { x, y: 378, width: 18, height: colour === "var(--ink)" ? 7 : 14, fill: colour }, plot);
    svg("text", { x: x + 25, y: 390 }, plot, text);
    x += width + 20;
  }
  speak(home, end, all);
}
function speak(home, end, all) {
  const name = k => k < 0 ? "at neither minimum yet" : k ? "in the higher minimum" : "in the lower minimum";
  const how = (was, now) => all.filter(s => s[1] === was && s[2] === now).length;
  const lost = all.filter(s => s[2] < 0).length, good = how(0, 0) + how(1, 0);
  const one = end === home ? `From this start it ends ${name(end)}, in the valley that it began in.`
    : `From this start, in the valley of the ${home ? "higher" : "lower"} minimum, it ends ${name(end)}.`;
  $("says").innerHTML = `<p>${one}</p><p>Of ${STARTS} starts, <b class="num">${how(1, 0)}</b> leave the higher minimum for the lower one, and ` +
    `<b class="num">${how(0, 1)}</b> leave the lower one for the higher one. ${good} end in the lower minimum; ${all.filter(s => s[1] === 0).length} began in its valley.` +
    (lost ? ` ${lost} are at neither after ${STEPS} steps.` : "") + "</p>";
  start.setAttribute("aria-valuetext", "start " + start.value);
  mu.setAttribute("aria-valuetext", "μ = " + mu.value);
}
for (const rate of RATES) eta.add(new Option(String(rate), String(rate)));
for (const node of [start, mu, eta]) for (const kind of ["input", "change"]) node.addEventListener(kind, draw);
draw();
