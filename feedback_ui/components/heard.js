// How much of a clip was really heard: the smaller of the time passed and the distance played, so
// that neither a seek nor a stall counts. Hearing a bar twice counts twice.
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
