// The focus keeper: see focus_keeper.py. unseen.js is placed before this file.
//
// When the focus is lost, the first of these gets it: the same element, if it still works; the first
// control of the widget with the same key; the first control of its component; the nearest heading
// above. This applies to keyboard users only: after a pointer press, the focus is left alone.

const HEADINGS = "h1, h2, h3";
const CONTROLS = "button, a[href], input, select, textarea, summary, [tabindex='0']";
// Wait until the page is quiet: a replacement often appears shortly after the old element is gone.
const QUIET_MS = 250;
const mounted = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  if (!mounted.has(parentElement)) mounted.set(parentElement, new FocusKeeper(parentElement));
  const keeper = mounted.get(parentElement);
  return () => {
    keeper.remove();
    mounted.delete(parentElement);
  };
}

class FocusKeeper {
  constructor(parent) {
    leaveTheFlow(parent);
    this.had = null;
    this.onKeys = (event) => {
      if (event.type === "keydown" && event.key === "Tab") this.had = null; // the user moves on
      else this.remember();
    };
    this.onPointer = () => {
      this.had = null;
    };
    // Focus changes inside a shadow root do not reach the document; key events do.
    document.addEventListener("keydown", this.onKeys, true);
    document.addEventListener("keyup", this.onKeys, true);
    document.addEventListener("pointerdown", this.onPointer, true);
    this.watcher = new MutationObserver(() => this.soon());
    this.watcher.observe(document.body, {
      childList: true,
      subtree: true,
      attributes: true,
      attributeFilter: ["disabled", "aria-busy"],
    });
  }

  remember() {
    const element = focused();
    if (element === null) return;
    const host = outermost(element);
    this.had = {
      element,
      host,
      key: keyOf(host),
      headings: [...document.querySelectorAll(HEADINGS)].filter(
        (heading) => heading.compareDocumentPosition(host) & Node.DOCUMENT_POSITION_FOLLOWING,
      ),
    };
    this.soon();
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.look(), QUIET_MS);
  }

  look() {
    if (this.had === null || focused() !== null) return;
    const { element, host, key, headings } = this.had;
    const target =
      [element].find(works) ??
      (key && firstControl(document.querySelector(`.${CSS.escape(key)}`))) ??
      (host !== element ? firstControl(host) : null) ??
      headings.findLast(works) ??
      document.querySelector(HEADINGS);
    if (!target) return;
    if (target.matches(HEADINGS)) target.tabIndex = -1;
    target.focus();
  }

  remove() {
    clearTimeout(this.timer);
    this.watcher.disconnect();
    document.removeEventListener("keydown", this.onKeys, true);
    document.removeEventListener("keyup", this.onKeys, true);
    document.removeEventListener("pointerdown", this.onPointer, true);
  }
}

// The focused element, inside components too; null if there is none.
function focused() {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element === document.body ? null : element;
}

function outermost(element) {
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? outermost(root.host) : element;
}

// Streamlit adds a class with the widget's key to the container of the widget.
function keyOf(element) {
  const keyed = element.closest("[class*='st-key-']");
  return keyed === null ? null : [...keyed.classList].find((name) => name.startsWith("st-key-"));
}

function works(element) {
  return element.isConnected && !element.disabled && element.checkVisibility({ visibilityProperty: true });
}

function firstControl(within) {
  if (!within?.isConnected) return null;
  for (const element of [within, ...within.querySelectorAll("*")]) {
    if (element.matches(CONTROLS) && works(element)) return element;
    const inside = element.shadowRoot && firstControlOf(element.shadowRoot);
    if (inside) return inside;
  }
  return null;
}

function firstControlOf(root) {
  return [...root.querySelectorAll(CONTROLS)].find(works) ?? null;
}
