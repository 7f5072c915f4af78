// The theme watcher: see theme_watcher.py. unseen.js is placed before this file. Streamlit calls
// this again whenever the theme changes.

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  const kind = getComputedStyle(leaveTheFlow(parentElement)).colorScheme;
  if (kind !== data.kind) setStateValue("kind", kind);
}
