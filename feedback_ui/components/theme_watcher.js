// The theme watcher: see theme_watcher.py. What is in unseen.js is put before this file. Streamlit
// calls this again whenever the theme changes.

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const kind = getComputedStyle(leaveTheFlow(parentElement)).colorScheme;
  if (kind !== data.kind) setStateValue("kind", kind);
}
