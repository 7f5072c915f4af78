// What the listening pair and the tune player share: how a place in a clip is written, how a page is
// changed, and how a picture comes onto it. Put before the scripts of both.

function clock(ms) {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// Only when it changes, or a screen reader would say it again ten times a second.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Parsed as XML: what is no picture becomes an error on the page and never a script.
function pictureOf(svg) {
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}
