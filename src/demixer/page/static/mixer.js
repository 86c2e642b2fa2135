// <stem-mixer data-mix='{"song": …, "stems": [{"name", "label", "color", "file", "url", "picture"}], "archive": …}'>
// All stems are started on one AudioContext's clock at the same sample; mute, solo and volume are gains behind them.

const RAMP_SECONDS = 0.015; // without a ramp a switched gain clicks
const START_SECONDS = 0.06; // all sources are scheduled a moment ahead, so that none is late
const SILENCE_DB = -60; // the lowest place of a fader is silence

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
const gainOf = (db) => (db <= SILENCE_DB ? 0 : 10 ** (db / 20));
const ICONS = {
  play: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M7 4.5v15l12.5-7.5z"/></svg>',
  pause: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M6 4.5h4.2v15H6zM13.8 4.5H18v15h-4.2z"/></svg>',
  start: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M5 5h2.6v14H5zM19 5v14L8.6 12z"/></svg>',
  save: '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M10.8 3h2.4v8.6l3-3 1.7 1.7L12 16.2l-5.9-5.9 1.7-1.7 3 3zM4 18.6h16V21H4z"/></svg>',
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "icon") element.innerHTML = ICONS[value];
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

class Track {
  constructor(mixer, stem, number) {
    Object.assign(this, { mixer, stem, number, muted: false, soloed: false, db: 0, buffer: null, source: null });
    this.build();
  }

  build() {
    const { label, name, color, file, url, picture } = this.stem;
    this.mute = this.toggle("M", `mute ${label}`, () => (this.muted = !this.muted), "mute");
    this.solo = this.toggle("S", `solo ${label}`, () => (this.soloed = !this.soloed), "solo");
    this.level = make("output", {}, "0.0 dB");
    this.fader = make("input", {
      type: "range", min: SILENCE_DB, max: 6, step: 0.5, value: 0, "aria-label": `volume of ${label}`,
      title: "double-click: 0 dB", oninput: () => this.fade(Number(this.fader.value)), ondblclick: () => this.fade(0),
    });
    this.meter = make("i");
    this.canvas = make("canvas", { "aria-hidden": "true" });
    const save = make("a", { href: url, download: file, icon: "save", class: "icon", title: file, "aria-label": `download ${label}` });
    const image = make("img", { src: picture, alt: `spectrogram of ${label}`, draggable: "false" });
    this.lane = make("div", { class: "lane" }, this.canvas, image, make("div", { class: "ahead" }));
    this.row = make(
      "section", { class: "track", "data-stem": name, style: `--own: ${color}`, "aria-label": label },
      make("div", { class: "strip" },
        make("div", { class: "name" }, make("b", {}, label), save),
        make("div", { class: "buttons" }, this.mute, this.solo, make("div", { class: "meter" }, this.meter)),
        make("div", { class: "fader" }, this.fader, this.level)),
      this.lane);
  }

  toggle(letter, label, change, kind) {
    const press = () => { button.setAttribute("aria-pressed", change()); this.mixer.balance(); };
    const button = make("button", { type: "button", class: kind, "aria-label": label, title: label, "aria-pressed": "false", onclick: press }, letter);
    return button;
  }

  fade(db) {
    this.db = db;
    this.fader.value = db;
    this.level.textContent = db <= SILENCE_DB ? "−∞ dB" : `${db.toFixed(1).replace("-", "−")} dB`;
    this.fader.setAttribute("aria-valuetext", this.level.textContent);
    this.fader.style.setProperty("--filled", `${(100 * (db - SILENCE_DB)) / (6 - SILENCE_DB)}%`);
    this.mixer.balance();
  }

  async load(context, out) {
    const answer = await fetch(this.stem.url);
    if (!answer.ok) throw new Error(`${this.stem.file} is no longer there`);
    this.buffer = await context.decodeAudioData(await answer.arrayBuffer());
    this.gain = context.createGain();
    this.listener = context.createAnalyser();
    this.listener.fftSize = 2048;
    this.gain.connect(this.listener).connect(out);
    this.draw();
  }

  start(context, when, offset) {
    this.source = context.createBufferSource();
    this.source.buffer = this.buffer;
    this.source.connect(this.gain);
    this.source.start(when, offset);
  }

  stop() {
    this.source?.stop();
    this.source?.disconnect();
    this.source = null;
  }

  loudness() { // root mean square of what is heard of this stem now
    if (!this.listener) return 0;
    const samples = new Float32Array(this.listener.fftSize);
    this.listener.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  }

  draw() { // per column of pixels the extremes (pale) and the root mean square (strong)
    const ratio = window.devicePixelRatio || 1;
    const width = (this.canvas.width = Math.round(this.canvas.clientWidth * ratio));
    const height = (this.canvas.height = Math.round(this.canvas.clientHeight * ratio));
    if (!this.buffer || !width) return;
    const brush = this.canvas.getContext("2d");
    brush.fillStyle = getComputedStyle(this.canvas).color;
    const scale = height / 2 / this.mixer.loudest();
    const channels = channelsOf(this.buffer);
    const each = this.buffer.length / width;
    for (let x = 0; x < width; x++) {
      const [low, high, rms] = column(channels, Math.floor(x * each), Math.ceil((x + 1) * each));
      brush.globalAlpha = 0.4;
      brush.fillRect(x, height / 2 - high * scale, 1, Math.max(1, (high - low) * scale));
      brush.globalAlpha = 1;
      brush.fillRect(x, height / 2 - rms * scale, 1, 2 * rms * scale);
    }
  }
}

const channelsOf = (buffer) => Array.from({ length: buffer.numberOfChannels }, (_, number) => buffer.getChannelData(number));

function column(channels, from, to) {
  let low = 0, high = 0, sum = 0, count = 0;
  const step = Math.max(1, Math.floor((to - from) / 400)); // enough for a pixel
  for (const samples of channels) {
    for (let i = from; i < to && i < samples.length; i += step, count++) {
      const sample = samples[i];
      if (sample < low) low = sample;
      if (sample > high) high = sample;
      sum += sample * sample;
    }
  }
  return [low, high, Math.sqrt(sum / Math.max(1, count))];
}

class StemMixer extends HTMLElement {
  connectedCallback() {
    if (this.tracks) return;
    this.mix = JSON.parse(this.dataset.mix);
    this.playing = false;
    this.offset = this.began = 0;
    this.tracks = this.mix.stems.map((stem, number) => new Track(this, stem, number));
    this.build();
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys);
    this.resized = new ResizeObserver(() => this.redraw());
    this.resized.observe(this);
    this.theme = new MutationObserver(() => this.redraw());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    this.load();
  }

  disconnectedCallback() {
    this.pause();
    this.context?.close();
    this.context = null;
    this.resized.disconnect();
    this.theme.disconnect();
    document.removeEventListener("keydown", this.keys);
  }

  build() {
    const root = this.attachShadow({ mode: "open" });
    const { song, archive, notes } = this.mix;
    this.button = make("button", { type: "button", class: "play", icon: "play", "aria-label": "play", disabled: true, onclick: () => this.toggle() });
    const back = make("button", { type: "button", class: "icon", icon: "start", "aria-label": "to the start", title: "to the start", onclick: () => this.seek(0) });
    this.time = make("output", { class: "time" }, "loading …");
    this.slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "position", oninput: () => this.seek(Number(this.slider.value)) });
    const all = make("a", { class: "all", href: archive.url, download: archive.file }, make("span", { icon: "save" }), "all stems (.zip)");
    const lanes = make("div", { class: "tracks" }, ...this.tracks.map((track) => track.row));
    this.lanes = lanes;
    for (const track of this.tracks) {
      track.lane.addEventListener("pointerdown", (event) => this.point(event, track.lane));
      track.lane.addEventListener("pointermove", (event) => event.buttons & 1 && this.point(event, track.lane));
    }
    root.append(
      make("style", {}, STYLE),
      make("div", { class: "mixer", role: "group", "aria-label": `mixer for ${song}` },
        make("header", {}, back, this.button, make("div", { class: "where" }, make("b", { title: song }, song), this.time), this.slider, all),
        ...notes.map((note) => make("p", { class: "note" }, `note: ${note}`)),
        lanes,
        make("p", { class: "help" }, "space: play · ← →: 5 s · 1 … 9: solo · shift + 1 … 9: mute · click a picture to go there")));
  }

  async load() {
    try {
      const rate = 44100; // of the models; another one would only be resampled
      const context = (this.context = new AudioContext({ sampleRate: rate }));
      for (const track of this.tracks) {
        await track.load(context, context.destination); // one after the other: the picture grows, memory does not peak
        if (!this.context) return;
      }
      this.length = Math.max(...this.tracks.map((track) => track.buffer.duration));
      this.slider.max = this.length;
      this.button.disabled = false;
      this.balance();
      this.redraw();
      this.tick();
      this.dataset.ready = "";
    } catch (error) {
      if (this.context) this.time.textContent = `error: ${error.message}`;
    }
  }

  loudest() { // one scale for all waveforms, so that they can be compared
    this.peaks ??= new Map();
    for (const { buffer } of this.tracks) {
      if (!buffer || this.peaks.has(buffer)) continue;
      let peak = 1e-4;
      for (const samples of channelsOf(buffer)) for (const sample of samples) if (sample > peak || -sample > peak) peak = Math.abs(sample);
      this.peaks.set(buffer, peak);
    }
    return 1.05 * Math.max(1e-4, ...this.peaks.values());
  }

  redraw() {
    for (const track of this.tracks) track.draw();
    this.show();
  }

  balance() {
    const anySolo = this.tracks.some((track) => track.soloed);
    for (const track of this.tracks) {
      track.heard = !track.muted && (!anySolo || track.soloed);
      track.row.classList.toggle("silent", !track.heard);
      track.gain?.gain.setTargetAtTime(track.heard ? gainOf(track.db) : 0, this.context.currentTime, RAMP_SECONDS);
    }
  }

  get position() {
    if (!this.playing) return this.offset;
    return Math.min(this.length, this.offset + Math.max(0, this.context.currentTime - this.began));
  }

  async toggle() {
    if (this.playing) this.pause();
    else await this.play();
  }

  async play() {
    if (this.button.disabled) return;
    await this.context.resume(); // browsers let sound begin with a click only
    if (this.offset >= this.length - 0.01) this.offset = 0;
    this.began = this.context.currentTime + START_SECONDS;
    for (const track of this.tracks) track.start(this.context, this.began, this.offset);
    this.playing = true;
    this.face();
    this.tick();
  }

  pause() {
    this.offset = this.length ? this.position : 0;
    this.playing = false;
    for (const track of this.tracks) track.stop();
    this.face();
  }

  face() {
    this.button.innerHTML = ICONS[this.playing ? "pause" : "play"];
    this.button.setAttribute("aria-label", this.playing ? "pause" : "play");
  }

  async seek(seconds) {
    if (this.button.disabled) return;
    const goOn = this.playing;
    if (goOn) this.pause();
    this.offset = Math.min(this.length, Math.max(0, seconds));
    if (goOn) await this.play();
    this.show();
  }

  point(event, lane) {
    const place = lane.getBoundingClientRect();
    this.seek(((event.clientX - place.left) / place.width) * (this.length || 0));
  }

  key(event) {
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.altKey || event.metaKey || /^(TEXTAREA|SELECT)$/.test(target.tagName)) return;
    const isRange = target.tagName === "INPUT" && target.type === "range";
    if (target.tagName === "INPUT" && !isRange) return;
    const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
    if (event.code === "Space" && target.tagName !== "BUTTON") this.toggle();
    else if (event.code === "ArrowLeft" && !isRange) this.seek(this.position - 5);
    else if (event.code === "ArrowRight" && !isRange) this.seek(this.position + 5);
    else if (digit && this.tracks[digit - 1]) this.tracks[digit - 1][event.shiftKey ? "mute" : "solo"].click();
    else return;
    event.preventDefault();
  }

  tick() { // one loop at a time, only while there is something to move
    cancelAnimationFrame(this.frame);
    this.show();
    if (this.playing && this.position >= this.length) this.pause();
    if (this.playing || this.tracks.some((track) => track.loudness() > 1e-4)) this.frame = requestAnimationFrame(() => this.tick());
  }

  show() {
    if (!this.length) return;
    const share = this.position / this.length;
    this.lanes.style.setProperty("--place", `${100 * share}%`);
    this.slider.style.setProperty("--filled", `${100 * share}%`);
    this.slider.value = this.position;
    this.slider.setAttribute("aria-valuetext", `${clock(this.position)} of ${clock(this.length)}`);
    this.time.textContent = `${clock(this.position)} / ${clock(this.length)}`;
    for (const track of this.tracks) {
      const db = 20 * Math.log10(track.loudness() + 1e-9);
      track.meter.style.width = `${Math.max(0, Math.min(100, (100 * (db + 60)) / 60))}%`;
    }
  }
}

if (!customElements.get("stem-mixer")) customElements.define("stem-mixer", StemMixer);
