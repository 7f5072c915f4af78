// The listening pair: see listening_pair.py for the data that it receives and sends. player.js,
// heard.js and keys.js are placed before this file.
//
// Streamlit calls the default export again whenever its data or the theme changes, and cleans up only
// at the end. So there is one ListeningPair for each mounted element, and `show` may be called at any
// time. Only a person's click or key sends something.

const SIDES = ["left", "right"];
const LETTER = { left: "A", right: "B" };
const OUTCOMES = ["left", "right", "tie", "both_bad", "skip"];
// A new pair accepts no vote for this long: a double click must not vote on the next pair too.
const SETTLE_MS = 500;
// A vote may be sent again when no answer came within this time; the server stores it once anyway.
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
    this.sent = null; // the page run in which a vote or undo was sent, until the server answers
    this.heard = Object.fromEntries(SIDES.map((side) => [side, new Heard(this.audio(side))]));
    this.last = "left"; // the side that was played last
    for (const side of SIDES) this.wirePlayer(side);
    for (const button of this.all(".vote")) {
      const { outcome, strength } = button.dataset;
      button.onclick = () => this.vote(outcome, { strength: Number(strength) });
    }
    this.one(".switch").onclick = () => this.switchSide();
    this.one(".loop").onclick = () => this.toggleLoop();
    this.one(".undo").onclick = () => this.undo();
    this.one(".report").onclick = () => this.vote("skip", { report: "no_sound" });
    this.keys = new Keys(this.root);
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

  // Data from the server

  show(data) {
    const before = this.data;
    this.data = data;
    if (before === null || before.assignment_id !== data.assignment_id) {
      this.begin();
    } else if (this.sent !== null && this.sent !== data.run) {
      this.open("That did not arrive. Please answer once more.", { stays: true });
    }
    this.one(".undo").hidden = !data.can_undo;
    this.one(".report").hidden = data.practice;
    this.offerReasons(before?.reasons);
    this.showPictures(before?.pictures);
    this.draw();
  }

  offerReasons(before) {
    if (JSON.stringify(before) === JSON.stringify(this.data.reasons)) return;
    this.one(".why").hidden = this.data.reasons.length === 0;
    this.one(".chips").replaceChildren(
      ...this.data.reasons.map(([code, label]) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.className = "chip";
        chip.dataset.reason = code;
        chip.textContent = label;
        chip.setAttribute("aria-pressed", "false");
        chip.onclick = () => {
          chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
        };
        return chip;
      }),
    );
  }

  // Notes can influence the vote, so they are shown only when the rater asks for them.
  showPictures(before) {
    if (JSON.stringify(before) === JSON.stringify(this.data.pictures)) return;
    for (const side of SIDES) {
      const pictures = (this.data.pictures?.[side] ?? []).map(pictureOf);
      this.card(side).querySelector(".picture").replaceChildren(...pictures);
    }
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
    for (const chip of this.all(".chip")) chip.setAttribute("aria-pressed", "false");
    this.one(".comment textarea").value = "";
    this.last = "left";
    this.open(this.data.note);
  }

  open(hint, { stays = false } = {}) {
    clearTimeout(this.unanswered);
    this.sent = null;
    this.hint = hint;
    this.hintStays = stays; // otherwise it goes when something is played
  }

  // Playing

  wirePlayer(side) {
    const audio = this.audio(side);
    audio.addEventListener("play", () => this.goesAlone(side)); // also when a media key started it
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
    audio.loop = this.loops();
  }

  toggle(side) {
    const audio = this.audio(side);
    if (audio.paused) this.play(side);
    else audio.pause();
  }

  // Continue in the other melody at the same musical position: as many bars after the first barline.
  switchSide() {
    const from = this.last;
    const to = from === "left" ? "right" : "left";
    const { pickup_ms: began, bar_ms: bar } = this.data[from];
    const bars = (this.audio(from).currentTime * 1000 - began) / bar;
    const at = this.data[to].pickup_ms + bars * this.data[to].bar_ms;
    // If the position is outside the other melody, play that from the start.
    this.audio(to).currentTime = at > 0 && at < this.data[to].duration_ms ? at / 1000 : 0;
    this.play(to);
  }

  loops() {
    return this.one(".loop").getAttribute("aria-pressed") === "true";
  }

  toggleLoop() {
    setAttribute(this.one(".loop"), "aria-pressed", String(!this.loops()));
    for (const side of SIDES) this.audio(side).loop = this.loops();
  }

  play(side) {
    const audio = this.audio(side);
    if (audio.error) audio.load(); // the server may be back by now
    this.goesAlone(side); // now, not at the "play" event: until then both would sound
    audio.play().catch((error) => {
      // AbortError: paused before it started, which is not a failure.
      if (error.name !== "AbortError") this.failed[side] = true;
      this.draw();
    });
  }

  goesAlone(side) {
    this.audio(side === "left" ? "right" : "left").pause();
    this.last = side;
  }

  missingMs(side) {
    return Math.max(0, this.data[side].needed_ms - this.heard[side].ms);
  }

  // Answering

  ready(outcome) {
    return outcome === "skip" || SIDES.every((side) => this.missingMs(side) === 0);
  }

  vote(outcome, { strength = 1, report = null } = {}) {
    if (this.sent !== null || performance.now() < this.settledAt) return;
    for (const side of SIDES) this.heard[side].update();
    if (!this.ready(outcome)) {
      this.draw();
      return;
    }
    const chosen = this.all(".chip[aria-pressed=true]");
    this.dispatch("vote", {
      outcome,
      // Only a preference has a strength.
      strength: outcome === "left" || outcome === "right" ? strength : 1,
      report,
      reasons: chosen.map((chip) => chip.dataset.reason),
      comment: this.one(".comment textarea").value,
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
    if (this.keys.listening && !["Tab", "Shift"].includes(event.key)) {
      if (event.key === "Escape") this.keys.leave();
      else this.keys.take(event.key);
      event.preventDefault();
      return;
    }
    if (event.key === "Escape") return;
    // Space and Enter press the focused control, if there is one.
    if ([" ", "Enter"].includes(event.key) && target.matches?.("button, summary, a, input:not([type=range])")) return;
    const action = this.keys.action(event.key);
    if (action === "play_left" || action === "play_right") this.toggle(action.slice(5));
    else if (action === "play") this.toggle(this.last);
    else if (action === "switch") this.switchSide();
    else if (action === "loop") this.toggleLoop();
    else if (action === "undo") this.undo();
    else if (OUTCOMES.includes(action)) this.vote(action, { strength: event.shiftKey ? 2 : 1 });
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
    // aria-disabled, not disabled: the button keeps the focus, and the hint says what is missing.
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
    // The name contains the key shown on the button (WCAG 2.5.3).
    const key = keyName(this.keys.of[`play_${side}`]);
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

function isTextField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target.matches("input") && !["radio", "checkbox", "range", "button"].includes(target.type);
}

// Not randomUUID: it needs https, which a studio in a home network does not have.
function randomHex(bytes) {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return [...drawn].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
