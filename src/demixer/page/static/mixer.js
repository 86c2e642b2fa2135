// <stem-mixer>: all stems of one song, in step. `show(mix)` begins it and brings it up to date: with segments of the
// stems while they are computed, then with the whole ones (demixer.page.views.mix).

const SKIP_SECONDS = 5;
const RATES_HZ = [8000, 96000]; // what every browser can play as it is; beyond, it resamples

class StemMixer extends HTMLElement {
  connectedCallback() {
    this.keys = (event) => this.key(event);
    document.addEventListener("keydown", this.keys);
    this.resized = new ResizeObserver(() => this.redraw());
    this.resized.observe(this);
    this.theme = new MutationObserver(() => this.redraw());
    this.theme.observe(document.body, { attributes: true, attributeFilter: ["class"] });
  }

  disconnectedCallback() {
    this.transport?.halt();
    this.context?.close();
    this.context = null;
    this.resized.disconnect();
    this.theme.disconnect();
    document.removeEventListener("keydown", this.keys);
  }

  async show(mix) { // to be called again only once it is done
    this.mix = mix;
    if (!this.tracks) this.begin();
    if (mix.archive) return this.finish(mix);
    for (const segment of mix.segments) await this.extend(segment);
  }

  begin() {
    const { rate_hz, stems } = this.mix;
    const playable = rate_hz >= RATES_HZ[0] && rate_hz <= RATES_HZ[1];
    this.context = new AudioContext({ sampleRate: playable ? rate_hz : 44100 });
    this.segments = 0;
    this.tracks = stems.map((stem) => new Track(stem, () => this.balance()));
    for (const track of this.tracks) track.connect(this.context);
    this.transport = new Transport(this.context, this.tracks, () => this.face());
    this.build();
    this.balance();
  }

  build() {
    const root = this.attachShadow({ mode: "open" });
    const looks = new CSSStyleSheet();
    looks.replaceSync(STYLE);
    root.adoptedStyleSheets = [looks];
    const { song } = this.mix;
    const button = (name, label, press, attributes = {}, ...children) =>
      make("button", { type: "button", class: name, "aria-label": label, title: label, onclick: press, ...attributes }, ...children);
    this.button = button("play", "play", () => this.toggle(), { icon: "play", disabled: true });
    const back = button("icon", "to the start", () => this.transport.seek(0), { icon: "start" });
    this.time = make("span", { class: "time" }, "loading …"); // no live region: nobody wants every second read out
    this.slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, "aria-label": "position", oninput: () => this.seek(Number(this.slider.value)), onfocus: () => this.tell() });
    this.from = button("letter", "repeat from here", () => this.mark("from"), {}, "A");
    this.to = button("letter", "repeat up to here", () => this.mark("to"), {}, "B");
    this.passage = make("span");
    this.clear = button("clear", "stop repeating", () => this.repeat(), { hidden: true }, this.passage, icon("close"));
    this.spoken = make("div", { role: "status", class: "unseen" });
    const loop = make("div", { class: "loop", role: "group", "aria-label": "repeat a passage" }, this.from, this.to, this.clear);
    this.kind = make("p", { class: "kind" });
    this.save = make("button", { type: "button", class: "all", title: "download the mix as it stands: mutes, solos, volumes", disabled: true, onclick: () => this.render() }, icon("save"), "this mix (.wav)");
    this.all = make("span");
    this.notes = make("div", { class: "notes", role: "status" });
    this.lanes = make("div", { class: "tracks" }, ...this.tracks.map((track) => track.row));
    for (const track of this.tracks) this.watch(track.lane);
    root.append(
      make("div", { class: "mixer", role: "group", "aria-label": `mixer for ${song}` },
        make("header", {},
          make("div", { class: "transport" }, back, this.button, make("div", { class: "where" }, make("b", { title: song }, song), this.time)),
          this.slider, loop,
          make("div", { class: "saves" }, this.save, this.all)),
        this.notes, this.lanes, this.spoken,
        make("footer", {},
          make("p", { class: "help" }, "space: play · ← →: 5 s · 1 … 9: solo · shift + 1 … 9: mute · a, b: repeat from, up to here · esc: no more · in a picture, click to go there, drag to repeat"),
          this.kind)));
  }

  async extend({ start, urls }) {
    const buffers = await Promise.all(urls.map((url) => this.fetch(url)));
    if (!this.context) return;
    const scale = this.context.sampleRate / this.mix.rate_hz;
    this.tracks.forEach((track, number) => track.pieces.push(pieceOf(Math.round(start * scale), buffers[number])));
    this.segments += 1;
    this.measure(false);
  }

  async finish(mix) { // passes that are scheduled go on with the segments, the next ones take the whole stems
    const whole = [];
    for (const { url } of mix.stems) { // one after the other, so that memory does not peak
      whole.push(await this.fetch(url));
      if (!this.context) return;
    }
    this.tracks.forEach((track, number) => {
      track.pieces = [pieceOf(0, whole[number])];
      track.offer(mix.stems[number]);
    });
    const { archive } = mix;
    const all = make("a", { class: "all", href: archive.url, download: archive.file }, icon("save"), "all stems (.zip)");
    this.all.replaceWith(all);
    this.all = all;
    this.kind.textContent = `stems: ${mix.kind}`;
    this.notes.replaceChildren(...mix.notes.map((note) => make("p", {}, `note: ${note}`)));
    this.save.disabled = false;
    this.ended = true;
    this.measure(true);
    this.dataset.ready = "";
  }

  async fetch(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error("this sound is no longer on the server");
    return this.context.decodeAudioData(await answer.arrayBuffer());
  }

  fail(error) { // for good
    this.ended = true;
    this.notes.replaceChildren(make("p", {}, `error: ${error.message}`));
  }

  measure(whole) {
    const { transport } = this;
    transport.whole = whole;
    transport.length = whole ? transport.ready : Math.max(transport.ready, Math.round((this.mix.seconds ?? 0) * transport.rate));
    this.slider.max = transport.length / transport.rate;
    this.button.disabled = false;
    this.dataset.heard = "";
    this.redraw();
  }

  redraw() {
    if (!this.transport?.length) return;
    const loudest = 1.05 * Math.max(...this.tracks.flatMap((track) => track.pieces.map((piece) => piece.peak))); // one scale for all
    for (const track of this.tracks) track.draw(this.transport.length, loudest);
    this.face();
  }

  balance() {
    const anySolo = this.tracks.some((track) => track.soloed);
    for (const track of this.tracks) track.balance(anySolo, this.context.currentTime);
  }

  get position() { // in seconds
    return this.transport.position / this.transport.rate;
  }

  toggle() {
    if (this.button.disabled) return;
    if (this.transport.playing) this.transport.pause();
    else this.transport.play();
  }

  seek(seconds) {
    if (!this.button.disabled) this.transport.seek(seconds * this.transport.rate);
    this.tell();
  }

  mark(end) {
    const { loop, length, position } = this.transport;
    if (end === "from") this.repeat(position, loop && loop.to > position ? loop.to : length);
    else this.repeat(loop && loop.from < position ? loop.from : 0, position);
  }

  repeat(from, to) {
    if (!this.transport.length) return;
    const had = this.shadowRoot.activeElement === this.clear;
    this.transport.repeat(from, to);
    if (had && !this.transport.loop) this.from.focus(); // its button has gone
  }

  watch(lane) { // a click goes there, a drag marks a passage
    const sampleAt = (event) => {
      const place = lane.getBoundingClientRect();
      return ((event.clientX - place.left) / place.width) * this.transport.length;
    };
    let began = null;
    lane.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      began = { x: event.clientX, sample: sampleAt(event), moved: false };
      lane.setPointerCapture(event.pointerId);
    });
    lane.addEventListener("pointermove", (event) => {
      if (!began || (!began.moved && Math.abs(event.clientX - began.x) < 5)) return;
      began.moved = true;
      this.outline(...[began.sample, sampleAt(event)].sort((a, b) => a - b));
    });
    lane.addEventListener("pointerup", (event) => {
      if (!began) return;
      if (began.moved) this.repeat(...[began.sample, sampleAt(event)].sort((a, b) => a - b));
      else this.seek(began.sample / this.transport.rate);
      began = null;
    });
    lane.addEventListener("pointercancel", () => { began = null; this.face(); });
  }

  key(event) {
    const target = event.composedPath()[0];
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || target.isContentEditable) return;
    const isRange = target.tagName === "INPUT" && target.type === "range";
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && !isRange) return;
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1];
    if (event.code === "Space" && !target.closest?.("button, a, [role=button]")) event.repeat || this.toggle();
    else if (event.code === "ArrowLeft" && !isRange) this.seek(this.position - SKIP_SECONDS);
    else if (event.code === "ArrowRight" && !isRange) this.seek(this.position + SKIP_SECONDS);
    else if (digit && this.tracks[digit - 1]) event.repeat || this.tracks[digit - 1][event.shiftKey ? "mute" : "solo"].click();
    else if (event.key.toLowerCase() === "a") this.mark("from");
    else if (event.key.toLowerCase() === "b") this.mark("to");
    else if (event.key === "Escape" && this.transport.loop) this.repeat();
    else return;
    event.preventDefault();
  }

  async render() {
    this.save.disabled = true;
    await new Promise(requestAnimationFrame); // show it first
    const { length, rate } = this.transport;
    const { file, quieter_db } = mixdown(this.tracks, length, rate);
    download(file, `${this.mix.song}_mix.wav`);
    const note = quieter_db < 0.05 ? [] : [make("p", {}, `note: the mix is ${quieter_db.toFixed(1)} dB quieter than it sounds here, or it would clip`)];
    this.notes.replaceChildren(...note);
    this.save.disabled = false;
  }

  face() { // show how things stand; go on while something moves
    const { playing, starving, loop, length, rate } = this.transport;
    const kind = playing ? "pause" : "play";
    if (this.button.getAttribute("aria-label") !== kind) {
      this.button.replaceChildren(icon(kind));
      this.button.setAttribute("aria-label", kind);
      this.button.title = kind;
      this.tell();
    }
    if (!length) return;
    const share = (sample) => `${(100 * sample) / length}%`;
    const place = share(this.transport.position);
    this.lanes.style.setProperty("--place", place);
    this.slider.style.setProperty("--filled", place);
    this.slider.value = this.position;
    this.time.textContent = `${clock(this.position)} / ${clock(length / rate)}${starving ? " · computing …" : ""}`;
    this.outline(loop?.from ?? 0, loop?.to ?? 0);
    this.clear.hidden = !loop;
    const passage = loop ? `${clock(loop.from / rate)} – ${clock(loop.to / rate)}` : "";
    say(this.passage, passage);
    this.clear.setAttribute("aria-label", `stop repeating ${passage}`);
    say(this.spoken, loop ? `repeating ${passage}` : "");
    for (const track of this.tracks) track.measure();
    cancelAnimationFrame(this.frame);
    if (playing || this.tracks.some((track) => track.loudness() > 1e-4)) this.frame = requestAnimationFrame(() => this.face());
  }

  outline(from, to) {
    this.lanes.style.setProperty("--from", `${(100 * from) / this.transport.length}%`);
    this.lanes.style.setProperty("--to", `${(100 * to) / this.transport.length}%`);
    this.lanes.classList.toggle("repeats", to > from);
  }

  tell() { // where it is, for a screen reader: when it is asked or changed by hand, not while it runs
    const { length, rate } = this.transport;
    this.slider.setAttribute("aria-valuetext", `${clock(this.position)} of ${clock(length / rate)}`);
  }
}

if (!customElements.get("stem-mixer")) customElements.define("stem-mixer", StemMixer);
