// Shared by the listening pair and the tune player: format a time, change an element, insert a
// picture. Placed before both scripts.

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// Only when it changes: otherwise a screen reader would read it ten times a second.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Parsed as XML: anything that is not a picture becomes an error on the page, never a script.
function pictureOf(svg) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}
