// The tune player: see tune_player.py for its data. player.js is placed before this file.
//
// Each player is in its own shadow tree, so a player that starts tells the others by an event on the
// document.

const BEGUN = "tastemaker-tune-begun";
const mounted = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  if (!mounted.has(parentElement)) {
    mounted.set(parentElement, new TunePlayer(parentElement));
  }
  const player = mounted.get(parentElement);
  player.show(data);
  return () => {
    player.remove();
    mounted.delete(parentElement);
  };
}

class TunePlayer {
  constructor(parent) {
    this.root = parent.querySelector(".tune");
    this.audio = this.root.querySelector("audio");
    this.seek = this.root.querySelector(".seek");
    this.root.querySelector(".play").onclick = () => this.toggle();
    this.seek.oninput = () => {
      this.audio.currentTime = Number(this.seek.value) / 1000;
    };
    this.onBegun = (event) => {
      if (event.detail !== this) this.audio.pause();
    };
    document.addEventListener(BEGUN, this.onBegun);
    this.audio.addEventListener("play", () => this.goesAlone()); // also when a media key started it
    for (const happened of ["play", "pause", "ended", "timeupdate", "error", "loadeddata"]) {
      this.audio.addEventListener(happened, () => this.draw());
    }
  }

  show(data) {
    const before = this.data;
    this.data = data;
    if (before?.clip.address !== data.clip.address) {
      this.audio.pause();
      this.audio.src = data.clip.address;
      this.seek.max = data.clip.duration_ms;
      this.seek.value = 0;
    }
    setText(this.root.querySelector(".label"), data.label);
    this.root.setAttribute("aria-label", data.label);
    this.seek.setAttribute("aria-label", `Position in ${data.label}`);
    if (JSON.stringify(before?.pictures) !== JSON.stringify(data.pictures)) this.offerPictures();
    this.draw();
  }

  offerPictures() {
    const switches = this.root.querySelector(".switches");
    const pictures = this.root.querySelector(".pictures");
    switches.replaceChildren();
    pictures.replaceChildren();
    for (const { name, svg, open, least_px } of this.data.pictures) {
      const picture = document.createElement("div");
      picture.hidden = !open;
      if (least_px) {
        picture.style.setProperty("--least", `${least_px}px`);
        picture.tabIndex = 0; // so that the arrow keys scroll it
        picture.setAttribute("role", "group");
        picture.setAttribute("aria-label", `${name} of ${this.data.label}`);
      }
      picture.id = `picture-${pictures.childElementCount}`;
      picture.append(pictureOf(svg));
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.setAttribute("aria-expanded", String(open));
      button.setAttribute("aria-controls", picture.id);
      button.setAttribute("aria-label", `${name} of ${this.data.label}`);
      button.onclick = () => {
        picture.hidden = !picture.hidden;
        button.setAttribute("aria-expanded", String(!picture.hidden));
      };
      switches.append(button);
      pictures.append(picture);
    }
  }

  toggle() {
    if (!this.audio.paused) {
      this.audio.pause();
      return;
    }
    if (this.audio.error) this.audio.load(); // the server may be back by now
    this.goesAlone(); // now, not at the "play" event: until then two would sound
    this.audio.play().catch((error) => {
      if (error.name !== "AbortError") this.draw();
    });
  }

  goesAlone() {
    document.dispatchEvent(new CustomEvent(BEGUN, { detail: this }));
  }

  draw() {
    const playing = !this.audio.paused;
    this.root.classList.toggle("playing", playing);
    const verb = playing ? "Pause" : "Play";
    this.root.querySelector(".play").setAttribute("aria-label", `${verb} ${this.data.label}`);
    this.root.querySelector(".failed").hidden = this.audio.error === null;
    const at = Math.min(this.audio.currentTime * 1000, this.data.clip.duration_ms);
    if (!this.seek.matches(":active")) this.seek.value = at;
    this.seek.style.setProperty("--done", `${(100 * at) / this.data.clip.duration_ms}%`);
    this.seek.setAttribute("aria-valuetext", `${clock(at)} of ${clock(this.data.clip.duration_ms)}`);
    setText(this.root.querySelector(".time"), `${clock(at)} / ${clock(this.data.clip.duration_ms)}`);
  }

  remove() {
    document.removeEventListener(BEGUN, this.onBegun);
    this.audio.pause();
    this.audio.removeAttribute("src");
  }
}
