// For components that show nothing: they stand in no line of the page.
function leaveTheFlow(parent) {
  const host = parent instanceof ShadowRoot ? parent.host : parent;
  const line = host.closest("[data-testid=stElementContainer]");
  if (line) line.style.position = "absolute"; // where an empty line would stand
  return host;
}
