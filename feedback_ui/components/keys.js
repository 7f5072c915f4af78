// The keys of the actions: the rater chooses them, the browser stores them, the buttons show them.

const KEYS_KEPT_AS = "tastemaker-keys";
const USUAL_KEYS = {
  play_left: "1", play_right: "2", play: " ", switch: "x", loop: "l",
  left: "a", right: "b", tie: "t", both_bad: "n", skip: "s", undo: "u",
};
const ACTION_NAMES = {
  play_left: "Play A", play_right: "Play B", play: "Play or pause", switch: "Switch", loop: "Loop",
  left: "A better", right: "B better", tie: "Tie", both_bad: "Both bad", skip: "Skip", undo: "Undo",
};
// Shift with these means "much better". They must be letters: Shift turns other keys into new ones.
const LETTERS_ONLY = ["left", "right"];

class Keys {
  constructor(root) {
    this.root = root;
    this.listening = null; // the action whose key is being changed
    this.of = { ...USUAL_KEYS, ...this.kept() };
    this.buttons = Object.fromEntries(
      Object.keys(USUAL_KEYS).map((action) => [action, this.offer(action)]),
    );
    root.querySelector(".actions").replaceChildren(...Object.values(this.buttons));
    root.querySelector(".keys-reset").onclick = () => {
      this.of = { ...USUAL_KEYS };
      this.keep("All keys are reset.");
    };
    this.draw();
  }

  action(pressed) {
    const key = pressed.toLowerCase();
    return Object.keys(this.of).find((action) => this.of[action] === key) ?? null;
  }

  offer(action) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small remap";
    button.dataset.action = action;
    button.onclick = () => {
      this.listening = this.listening === action ? null : action;
      this.say(this.listening ? `Press the key for “${ACTION_NAMES[action]}”, or Escape to leave it as it is.` : "");
    };
    button.onblur = () => {
      if (this.listening === action) this.listening = null;
      this.draw();
    };
    return button;
  }

  leave() {
    const action = this.listening;
    this.listening = null;
    this.say(`“${ACTION_NAMES[action]}” stays ${keyName(this.of[action])}.`);
  }

  take(pressed) {
    const action = this.listening;
    const key = pressed.toLowerCase();
    const taken = this.action(key);
    if ([...key].length !== 1) {
      this.say(`${pressed} cannot be used; press a letter, a digit or a sign.`);
    } else if (LETTERS_ONLY.includes(action) && !/^\p{Letter}$/u.test(key)) {
      this.say(`“${ACTION_NAMES[action]}” needs a letter, because Shift with it means much better.`);
    } else if (taken !== null && taken !== action) {
      this.say(`${keyName(key)} is taken by “${ACTION_NAMES[taken]}”; press another, or change that first.`);
    } else {
      this.of[action] = key;
      this.listening = null;
      this.keep(`“${ACTION_NAMES[action]}” is ${keyName(key)} now.`);
    }
  }

  // A browser that stores nothing (a private window) still uses the new keys for this visit.
  keep(said) {
    try {
      localStorage.setItem(KEYS_KEPT_AS, JSON.stringify(this.of));
    } catch {
      said += " This browser cannot store it.";
    }
    this.say(said);
  }

  kept() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEYS_KEPT_AS) ?? "{}");
      const known = Object.entries(kept).filter(
        ([action, key]) => action in USUAL_KEYS && typeof key === "string" && [...key].length === 1,
      );
      const all = { ...USUAL_KEYS, ...Object.fromEntries(known) };
      return new Set(Object.values(all)).size === Object.keys(all).length ? all : {};
    } catch {
      return {};
    }
  }

  say(text) {
    this.root.querySelector(".keys-note").textContent = text;
    this.draw();
  }

  draw() {
    for (const mark of this.root.querySelectorAll("kbd[data-key]")) {
      mark.textContent = (mark.dataset.prefix ?? "") + keyName(this.of[mark.dataset.key]);
    }
    for (const [action, button] of Object.entries(this.buttons)) {
      const shown = this.listening === action ? "press a key …" : keyName(this.of[action]);
      button.replaceChildren(`${ACTION_NAMES[action]} `, keyMark(shown));
      button.setAttribute("aria-pressed", String(this.listening === action));
    }
  }
}

function keyMark(text) {
  const mark = document.createElement("kbd");
  mark.textContent = text;
  return mark;
}

function keyName(key) {
  return key === " " ? "Space" : key.toUpperCase();
}
