// Lines in a frame with axes; one view at a time. All numbers come from Python.
const COLOURS = ["var(--blue)", "var(--orange)", "var(--green)", "var(--pink)", "var(--ink)"];
const DASHES = ["", "9 4", "3 3", "12 3 3 3", ""];
const LEFT = 76, RIGHT = 884, TOP = 14, BOTTOM = 330;
const plot = $("plot"), which = $("which");
const SUP = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = n => n >= -2 && n <= 3 ? (10 ** n).toLocaleString("en") : "10" + String(n).replace(/./g, c => SUP[c]);
function mark(shape, x, y, colour, parent) {
  const common = { fill: colour, stroke: "#fff", "stroke-width": 1 };
  if (shape === 0) svg("circle", { cx: x, cy: y, r: 4.5, ...common }, parent);
  else if (shape === 1) svg("rect", { x: x - 4.2, y: y - 4.2, width: 8.4, height: 8.4, ...common }, parent);
  else if (shape === 2) svg("path", { d: `M${x} ${y - 6}L${x + 5.5} ${y}L${x} ${y + 6}L${x - 5.5} ${y}Z`, ...common }, parent);
  else if (shape === 3) svg("path", { d: `M${x} ${y - 5.5}L${x + 5.5} ${y + 4.5}L${x - 5.5} ${y + 4.5}Z`, ...common }, parent);
  else svg("path", { d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}`, fill: "none", stroke: colour, "stroke-width": 2.2 }, parent);
}
function ticks(low, high, log) {
  if (log) {
    const first = Math.ceil(low - 1e-9), last = Math.floor(high + 1e-9), stride = Math.max(1, Math.ceil((last - first) / 7)), found = [];
    for (let n = first; n <= last; n += stride) found.push([n, power(n)]);
    if (last - first < 2) for (let n = first - 1; n <= last; n++) for (const k of [2, 5]) {
      const at = n + Math.log10(k);
      if (at >= low && at <= high) found.push([at, String(+(k * 10 ** n).toPrecision(2))]);
    }
    return found;
  }
  const rough = (high - low) / 6, unit = 10 ** Math.floor(Math.log10(rough));
  const stride = [1, 2, 5, 10].map(k => k * unit).find(s => s >= rough), found = [];
  for (let n = Math.ceil(low / stride - 1e-9); n * stride <= high + 1e-9 * stride; n++) found.push([n * stride, String(+(n * stride).toPrecision(6))]);
  return found;
}
function scale(axis, values, from, to) {
  const seen = values.map(v => axis.log ? Math.log10(v) : v);
  let low = Math.min(...seen), high = Math.max(...seen);
  if (axis.from !== undefined) low = axis.log ? Math.log10(axis.from) : axis.from;
  if (axis.to !== undefined) high = axis.log ? Math.log10(axis.to) : axis.to;
  const room = axis.pad ? (high - low) * 0.05 : 0;
  [low, high] = [low - (axis.from === undefined ? room : 0), high + (axis.to === undefined ? room : 0)];
  const place = v => from + ((axis.log ? Math.log10(v) : v) - low) / (high - low) * (to - from);
  return { place, ticks: ticks(low, high, axis.log).map(([at, text]) => [from + (at - low) / (high - low) * (to - from), text]) };
}
function draw() {
  const view = DATA.views[which.selectedIndex], all = view.series.flatMap(s => s.points);
  plot.replaceChildren();
  const X = scale(view.x, all.map(p => p[0]), LEFT, RIGHT), Y = scale({ pad: true, ...view.y }, all.map(p => p[1]), BOTTOM, TOP);
  for (const [x, text] of X.ticks) {
    svg("line", { x1: x, x2: x, y1: TOP, y2: BOTTOM, stroke: "var(--faint)" }, plot);
    svg("text", { x, y: BOTTOM + 19, "text-anchor": "middle" }, plot, text);
  }
  for (const [y, text] of Y.ticks) {
    svg("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y, stroke: "var(--faint)" }, plot);
    svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, plot, text);
  }
  svg("text", { x: (LEFT + RIGHT) / 2, y: BOTTOM + 41, "text-anchor": "middle" }, plot, view.x.label);
  svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(16 ${(TOP + BOTTOM) / 2}) rotate(-90)` }, plot, view.y.label);
  let x = LEFT + 4, row = 0;
  view.series.forEach((series, n) => {
    const colour = COLOURS[n % COLOURS.length], dash = DASHES[n % DASHES.length];
    const points = series.points.map(p => [X.place(p[0]), Y.place(p[1])]);
    const d = points.map((p, i) => (i ? "L" : "M") + p[0].toFixed(1) + " " + p[1].toFixed(1)).join("");
    svg("path", { d, fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": dash, class: "curve", "stroke-linejoin": "round" }, plot);
    const stride = Math.ceil(points.length / 12);
    points.forEach((p, i) => { if (i % stride === 0) mark(n, p[0], p[1], colour, plot); });
    const width = 44 + series.name.length * 7.2;
    if (x + width > RIGHT) { x = LEFT + 4; row++; }
    const y = BOTTOM + 64 + row * 22;
    svg("line", { x1: x, x2: x + 28, y1: y, y2: y, stroke: colour, "stroke-width": 2, "stroke-dasharray": dash }, plot);
    mark(n, x + 14, y, colour, plot);
    svg("text", { x: x + 35, y: y + 4 }, plot, series.name);
    x += width + 18;
  });
  plot.setAttribute("viewBox", `0 0 900 ${BOTTOM + 76 + row * 22}`);
  $("says").innerHTML = "";
  for (const sentence of view.says) {
    const p = document.createElement("p");
    p.textContent = sentence;
    $("says").appendChild(p);
  }
}
for (const view of DATA.views) which.add(new Option(view.label, view.key));
if (DATA.views.length < 2) $("controls").style.display = "none";
for (const kind of ["input", "change"]) which.addEventListener(kind, draw);
draw();
