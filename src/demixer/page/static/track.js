// One stem in the mixer: its strip (mute, solo, volume, meter), its pieces of sound, and the gain they go through.

const RAMP_SECONDS = 0.015; // without a ramp a switched gain clicks
const SILENCE_DB = -60; // the lowest place of a fader is silence
const LOUDEST_DB = 6;
const gainOf = (db) => (db <= SILENCE_DB ? 0 : 10 ** (db / 20));

class Track {
  constructor(stem, changed) {
    Object.assign(this, { stem, changed, muted: false, soloed: false, db: 0, heard: true, pieces: [], sources: new Set() });
    this.build();
  }

  build() {
    const { label, name, color } = this.stem;
    this.mute = this.toggle("M", `mute ${label}`, "mute", () => (this.muted = !this.muted));
    this.solo = this.toggle("S", `solo ${label}`, "solo", () => (this.soloed = !this.soloed));
    this.level = make("span", { class: "level", "aria-hidden": "true" }, "0.0 dB"); // the fader says it, too
    this.fader = make("input", {
      type: "range", min: SILENCE_DB, max: LOUDEST_DB, step: 0.5, value: 0, "aria-label": `volume of ${label}`,
      "aria-valuetext": "0.0 dB", title: "double-click: 0 dB",
      oninput: () => this.fade(Number(this.fader.value)), ondblclick: () => this.fade(0),
    });
    this.meter = make("i");
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.image = make("div", { class: "picture" });
    this.save = make("span");
    this.lane = make("div", { class: "lane" }, this.canvas, this.image, make("div", { class: "passage" }), make("div", { class: "ahead" }));
    this.row = make(
      "section", { class: "track", "data-stem": name, "--own": color, "aria-label": label },
      make("div", { class: "strip" },
        make("div", { class: "name" }, make("b", {}, label), this.save),
        make("div", { class: "buttons" }, this.mute, this.solo, make("div", { class: "meter" }, this.meter)),
        make("div", { class: "fader" }, this.fader, this.level)),
      this.lane);
  }

  toggle(letter, label, kind, change) {
    const press = () => { button.setAttribute("aria-pressed", change()); this.changed(); };
    const button = make("button", { type: "button", class: kind, "aria-label": label, title: label, "aria-pressed": "false", onclick: press }, letter);
    return button;
  }

  fade(db) {
    this.db = db;
    this.fader.value = db;
    this.level.textContent = db <= SILENCE_DB ? "−∞ dB" : `${db.toFixed(1).replace("-", "−")} dB`;
    this.fader.setAttribute("aria-valuetext", this.level.textContent);
    this.fader.style.setProperty("--filled", `${(100 * (db - SILENCE_DB)) / (LOUDEST_DB - SILENCE_DB)}%`);
    this.changed();
  }

  offer({ url, file, picture, label }) { // the whole stem is there
    if (!url || this.save.localName === "a") return;
    const link = make("a", { href: url, download: file, icon: "save", class: "icon", title: file, "aria-label": `download ${label}` });
    this.save.replaceWith(link);
    this.save = link;
    this.image.append(make("img", { src: picture, alt: `spectrogram of ${label}`, draggable: "false" }));
  }

  connect(context) {
    this.gain = context.createGain();
    this.listener = context.createAnalyser();
    this.listener.fftSize = 2048;
    this.gain.connect(this.listener).connect(context.destination);
  }

  balance(anySolo, when) {
    this.heard = !this.muted && (!anySolo || this.soloed);
    this.row.classList.toggle("silent", !this.heard);
    this.gain.gain.setTargetAtTime(this.volume, when, RAMP_SECONDS);
  }

  get volume() { // the factor that is heard
    return this.heard ? gainOf(this.db) : 0;
  }

  schedule(context, at, from, to) { // the song's samples from … to, beginning with the context's sample `at`
    for (const piece of this.pieces) {
      const first = Math.max(from, piece.start);
      const last = Math.min(to, piece.end);
      if (first < last) this.play(context, piece, at + first - from, first, last);
    }
  }

  play(context, piece, at, first, last) {
    const rate = context.sampleRate;
    const source = context.createBufferSource();
    source.buffer = piece.buffer;
    source.connect(this.gain);
    source.start(at / rate, (first - piece.start) / rate);
    if (last < piece.end) source.stop((at + last - first) / rate);
    source.onended = () => this.sources.delete(source);
    this.sources.add(source);
  }

  stop() {
    for (const source of this.sources) {
      source.stop();
      source.disconnect();
    }
    this.sources.clear();
  }

  loudness() { // root mean square of what is heard of this stem now
    if (!this.listener) return 0;
    const samples = new Float32Array(this.listener.fftSize);
    this.listener.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  }

  draw(length, loudest) {
    drawWaveform(this.canvas, this.pieces, length, loudest);
  }

  measure() {
    const db = 20 * Math.log10(this.loudness() + 1e-9);
    this.meter.style.width = `${Math.max(0, Math.min(100, (100 * (db + 60)) / 60))}%`;
  }
}
