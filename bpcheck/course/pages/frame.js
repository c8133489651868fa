// What every figure needs: elements by id, SVG elements, and a frame that is as high as its page.
const $ = id => document.getElementById(id);
function svg(name, attributes, parent, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  if (parent) parent.appendChild(node);
  return node;
}
function fit() {
  // in a page of its own there is no frame; in a foreign one it may not be touched
  try {
    if (window.frameElement) {
      window.frameElement.style.height = document.documentElement.offsetHeight + 2 + "px";
      document.documentElement.style.overflowY = "hidden"; // Chromium keeps a scroll bar that it needed for a moment
    }
  } catch (error) { /* the height of the frame stays as it was given */ }
}
if (window.ResizeObserver) new ResizeObserver(fit).observe(document.documentElement);
window.addEventListener("load", fit);
