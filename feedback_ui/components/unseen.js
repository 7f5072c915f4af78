// For components that show nothing: they must take no space on the page.
function leaveTheFlow(parent) {
  const host = parent instanceof ShadowRoot ? parent.host : parent;
  const line = host.closest("[data-testid=stElementContainer]");
  if (line) line.style.position = "absolute"; // otherwise there would be an empty line
  return host;
}
