// The listening pair: see listening_pair.py for what comes in and what goes back.
//
// Streamlit calls the default export again whenever its data or the theme changes, and cleans up only
// at the end, so there is one ListeningPair for each mounted element, and `show` may be called at any
// time. Nothing is ever sent but by a person's click or key.

const SIDES = ["left", "right"];
const LETTER = { left: "A", right: "B" };
const SHORTCUTS = { a: "left", b: "right", t: "tie", n: "both_bad", s: "skip" };
const PLAY_KEYS = { 1: "left", 2: "right" };
// A new pair takes no vote for so long: the second half of a double click belongs to the last pair.
const SETTLE_MS = 500;
// A vote without an answer for so long may be sent again; the server stores it once anyway.
const ANSWER_WITHIN_MS = 8000;
const DRAW_EVERY_MS = 100;

const mounted = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  if (!mounted.has(parentElement)) {
    mounted.set(parentElement, new ListeningPair(parentElement));
  }
  const pair = mounted.get(parentElement);
  pair.send = setTriggerValue;
  pair.show(data);
  return () => {
    pair.remove();
    mounted.delete(parentElement);
  };
}

class ListeningPair {
  constructor(parent) {
    this.root = parent.querySelector(".pair");
    this.data = null;
    this.sent = null; // the run of the page in which something was sent and not yet answered
    this.heard = Object.fromEntries(SIDES.map((side) => [side, new Heard(this.audio(side))]));
    for (const side of SIDES) this.wirePlayer(side);
    for (const button of this.all(".vote")) {
      button.onclick = (event) => this.vote(button.dataset.outcome, { clearly: event.shiftKey });
    }
    this.one(".undo").onclick = () => this.undo();
    this.one(".report").onclick = () => this.vote("skip", { report: "no_sound" });
    this.onKey = (event) => this.key(event);
    // Capture, so that a held Enter is stopped before it clicks the focused button again and again.
    document.addEventListener("keydown", this.onKey, true);
    this.timer = setInterval(() => this.draw(), DRAW_EVERY_MS);
  }

  one(selector) {
    return this.root.querySelector(selector);
  }

  all(selector) {
    return [...this.root.querySelectorAll(selector)];
  }

  audio(side) {
    return this.one(`audio[data-side=${side}]`);
  }

  card(side) {
    return this.one(`.card[data-side=${side}]`);
  }

  // What the server shows now

  show(data) {
    const before = this.data;
    this.data = data;
    if (before === null || before.assignment_id !== data.assignment_id) {
      this.begin();
    } else if (this.sent !== null && this.sent !== data.run) {
      this.open("That did not arrive. Please answer once more.", { stays: true });
    }
    this.one(".undo").hidden = !data.can_undo;
    this.draw();
  }

  begin() {
    const now = performance.now();
    this.shownAt = now;
    this.settledAt = now + SETTLE_MS;
    this.failed = { left: false, right: false };
    for (const side of SIDES) {
      const audio = this.audio(side);
      audio.pause();
      audio.src = this.data[side].address;
      this.heard[side].reset();
      const seek = this.card(side).querySelector(".seek");
      seek.max = this.data[side].duration_ms;
      seek.value = 0;
    }
    this.one("input[value='1']").checked = true;
    this.open(this.data.note);
  }

  open(hint, { stays = false } = {}) {
    clearTimeout(this.unanswered);
    this.sent = null;
    this.hint = hint;
    this.hintStays = stays; // else until something is played
  }

  // Playing

  wirePlayer(side) {
    const audio = this.audio(side);
    const other = this.audio(side === "left" ? "right" : "left");
    audio.addEventListener("play", () => other.pause());
    audio.addEventListener("error", () => {
      this.failed[side] = true;
      this.draw();
    });
    audio.addEventListener("loadeddata", () => {
      this.failed[side] = false;
    });
    for (const happened of ["play", "pause", "ended"]) {
      audio.addEventListener(happened, () => this.draw());
    }
    this.card(side).querySelector(".play").onclick = () => this.toggle(side);
    this.card(side).querySelector(".seek").oninput = (event) => {
      audio.currentTime = Number(event.target.value) / 1000;
    };
  }

  toggle(side) {
    const audio = this.audio(side);
    if (!audio.paused) {
      audio.pause();
      return;
    }
    if (audio.error) audio.load(); // the server may be back by now
    audio.play().catch((error) => {
      // Pausing before it has begun is no failure.
      if (error.name !== "AbortError") this.failed[side] = true;
      this.draw();
    });
  }

  missingMs(side) {
    return Math.max(0, this.data[side].needed_ms - this.heard[side].ms);
  }

  // Answering

  ready(outcome) {
    return outcome === "skip" || SIDES.every((side) => this.missingMs(side) === 0);
  }

  vote(outcome, { clearly = false, report = null } = {}) {
    if (this.sent !== null || performance.now() < this.settledAt) return;
    for (const side of SIDES) this.heard[side].update();
    if (!this.ready(outcome)) {
      this.draw();
      return;
    }
    const strength = clearly ? 2 : Number(this.one("input[name=strength]:checked").value);
    this.dispatch("vote", {
      outcome,
      // How clear a tie is, nobody asked.
      strength: outcome === "left" || outcome === "right" ? strength : 1,
      report,
      heard_ms_left: Math.round(this.heard.left.ms),
      heard_ms_right: Math.round(this.heard.right.ms),
      plays_left: this.heard.left.plays,
      plays_right: this.heard.right.plays,
      latency_ms: Math.round(performance.now() - this.shownAt),
    });
  }

  undo() {
    if (!this.data.can_undo || this.sent !== null || performance.now() < this.settledAt) return;
    this.dispatch("undo", {});
  }

  dispatch(name, answer) {
    this.sent = this.data.run;
    this.hint = "";
    for (const side of SIDES) this.audio(side).pause();
    this.unanswered = setTimeout(() => {
      this.open("The studio does not answer. You may answer again; it counts once.", { stays: true });
      this.draw();
    }, ANSWER_WITHIN_MS);
    this.draw();
    this.send(name, { assignment_id: this.data.assignment_id, nonce: randomHex(16), ...answer });
  }

  key(event) {
    const target = event.composedPath()[0];
    const inside = event.composedPath().includes(this.root);
    if (event.repeat) {
      if (inside && event.key === "Enter") event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTextField(target)) return;
    const key = event.key.toLowerCase();
    if (key in PLAY_KEYS) this.toggle(PLAY_KEYS[key]);
    else if (key in SHORTCUTS) this.vote(SHORTCUTS[key], { clearly: event.shiftKey });
    else if (key === "u") this.undo();
    else return;
    event.preventDefault();
  }

  // Drawing

  draw() {
    if (this.data === null) return;
    const busy = this.sent !== null;
    this.root.classList.toggle("busy", busy);
    this.root.setAttribute("aria-busy", String(busy));
    for (const side of SIDES) {
      this.heard[side].update();
      this.drawCard(side);
    }
    // aria-disabled keeps the focus where it is, and lets the hint say why.
    for (const button of this.all(".vote")) {
      setAttribute(button, "aria-disabled", String(busy || !this.ready(button.dataset.outcome)));
    }
    setAttribute(this.one(".undo"), "aria-disabled", String(busy));
    setAttribute(this.one(".report"), "aria-disabled", String(busy));
    this.one(".report").classList.toggle("wanted", this.failed.left || this.failed.right);
    setText(this.one(".hint"), this.hintNow(busy));
  }

  drawCard(side) {
    const audio = this.audio(side);
    const card = this.card(side);
    const playing = !audio.paused;
    card.classList.toggle("playing", playing);
    card.classList.toggle("heard", this.missingMs(side) === 0);
    const verb = playing ? "Pause" : "Play";
    const play = card.querySelector(".play");
    // The name holds what is seen on the button (WCAG 2.5.3): the key.
    const key = play.getAttribute("aria-keyshortcuts");
    setAttribute(play, "aria-label", `${verb} melody ${LETTER[side]}, key ${key}`);
    const seek = card.querySelector(".seek");
    const at = Math.min(audio.currentTime * 1000, this.data[side].duration_ms);
    if (!seek.matches(":active")) seek.value = at;
    seek.style.setProperty("--done", `${(100 * at) / this.data[side].duration_ms}%`);
    setAttribute(seek, "aria-valuetext", clock(at));
    setText(card.querySelector(".time"), `${clock(at)} / ${clock(this.data[side].duration_ms)}`);
    setText(card.querySelector(".state"), this.stateOf(side, playing));
  }

  stateOf(side, playing) {
    if (this.failed[side]) return "did not load";
    if (playing) return "playing";
    if (this.missingMs(side) === 0) return "heard";
    return this.heard[side].plays ? "a little more" : "not heard";
  }

  hintNow(busy) {
    if (busy) return "Saving …";
    const failed = SIDES.filter((side) => this.failed[side]);
    if (failed.length) return `${LETTER[failed[0]]} did not load: play it again, or report it.`;
    const missing = SIDES.filter((side) => this.missingMs(side) > 0);
    const begun = SIDES.some((side) => this.heard[side].plays);
    if (this.hint && (this.hintStays || !begun)) return this.hint;
    if (missing.length === 0) return "Now vote.";
    return missing.length === 2 ? "Listen to both, then vote." : `Now listen to ${LETTER[missing[0]]}.`;
  }

  remove() {
    document.removeEventListener("keydown", this.onKey, true);
    clearInterval(this.timer);
    clearTimeout(this.unanswered);
    for (const side of SIDES) {
      this.audio(side).pause();
      this.audio(side).removeAttribute("src");
    }
  }
}

// How much of a clip was really heard: time that passed on the clock and in the clip alike, so that
// neither a seek nor a stall counts. Hearing a bar twice counts twice.
class Heard {
  constructor(audio) {
    this.audio = audio;
    this.reset();
    audio.addEventListener("play", () => {
      this.rebase();
      this.running = true;
      this.plays += 1;
    });
    audio.addEventListener("seeking", () => this.rebase());
    audio.addEventListener("timeupdate", () => this.update());
    for (const stop of ["pause", "ended", "emptied"]) {
      audio.addEventListener(stop, () => {
        this.update();
        this.running = false;
      });
    }
  }

  reset() {
    this.ms = 0;
    this.plays = 0;
    this.running = false;
    this.rebase();
  }

  rebase() {
    this.before = this.ms;
    this.position = this.audio.currentTime;
    this.at = performance.now();
  }

  update() {
    if (!this.running || this.audio.seeking) return;
    const moved = (this.audio.currentTime - this.position) * 1000;
    const passed = performance.now() - this.at;
    this.ms = Math.max(this.ms, this.before + Math.min(moved, passed));
  }
}

function isTextField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target.matches("input") && !["radio", "checkbox", "range", "button"].includes(target.type);
}

// Not randomUUID: that needs https, which a studio in a living room has not.
function randomHex(bytes) {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return [...drawn].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

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
