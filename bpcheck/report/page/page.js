"use strict";
// Steps through the network: what a step has not reached is hidden, what it computes is marked.
for (const walk of document.querySelectorAll(".walk[data-start]")) {
  const rows = [...walk.querySelectorAll("[data-step]")], last = rows.length - 1, start = +walk.dataset.start;
  const button = name => walk.querySelector(`[data-go="${name}"]`);
  const count = walk.querySelector(".count");
  let now = start;
  for (const node of walk.querySelectorAll(".moving")) node.classList.remove("moving");
  function show() {
    rows.forEach((row, step) => { row.hidden = step !== now; });
    for (const node of walk.querySelectorAll("[data-at]")) {
      node.classList.toggle("later", +node.dataset.at > now);
      node.classList.toggle("now", +node.dataset.at === now);
    }
    for (const node of walk.querySelectorAll("[data-during]"))
      node.classList.toggle("later", +node.dataset.during !== now);
    for (const box of walk.querySelectorAll("[data-layer]"))
      box.classList.toggle("current", box.querySelector(".now") !== null);
    // not `disabled`: a button that loses the keyboard's focus at the end would send the reader back to the top
    for (const [name, end] of [["first", now === 0], ["back", now === 0], ["next", now === last], ["last", now === last]])
      button(name).setAttribute("aria-disabled", end);
    count.textContent = `step ${now + 1} of ${last + 1}`;
  }
  function go(to) {
    now = Math.min(Math.max(to, 0), last);
    show();
  }
  const moves = { first: () => 0, back: () => now - 1, next: () => now + 1, last: () => last, wrong: () => start };
  for (const name in moves) button(name).addEventListener("click", () => go(moves[name]()));
  const chosen = walk.querySelector('[data-choose="example"]');
  if (chosen) chosen.addEventListener("change", () => {
    for (const node of walk.querySelectorAll("[data-example]")) node.hidden = node.dataset.example !== chosen.value;
  });
  document.addEventListener("keydown", event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // where the arrow keys choose or scroll already, they keep doing so
    const at = event.target.closest("select, pre, .scroll");
    if (at && (at.matches("select") || at.scrollWidth > at.clientWidth)) return;
    event.preventDefault();
    go(now + move);
  });
  show();
}
for (const button of document.querySelectorAll("[data-copy]")) {
  const code = button.closest(".reproducer").querySelector("pre"), said = button.parentNode.querySelector("[role=status]");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      said.textContent = "Copied.";
    } catch (error) { // not allowed here: mark it, and one key press copies it
      getSelection().selectAllChildren(code);
      said.textContent = document.execCommand("copy") ? "Copied." : "Marked: press Ctrl+C.";
    }
  });
}
