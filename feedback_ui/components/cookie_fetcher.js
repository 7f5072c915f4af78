// The cookie fetcher: see cookie_fetcher.py. unseen.js is placed before this file.

const sent = new Set();

export default function (component) {
  const { data, parentElement } = component;
  leaveTheFlow(parentElement);
  if (!data?.ticket || sent.has(data.ticket)) return;
  sent.add(data.ticket);
  // keepalive: it arrives even if the page is left at once.
  const request = { method: "POST", body: data.ticket, credentials: "same-origin", keepalive: true };
  fetch(data.address, request).catch(() => sent.delete(data.ticket)); // the next run tries again
}
