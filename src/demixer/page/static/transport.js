// Where the music is. It goes on in passes: stretches of the song that are scheduled on the AudioContext's clock a
// moment before the one that sounds is over, so that a passage repeats, and computed segments join, to the sample.
// All times are counted in samples.

const START_SECONDS = 0.06; // all sources are scheduled a moment ahead, so that none is late
const AHEAD_SECONDS = 1.5; // a page in the background gets its timers once a second only
const PLAN_MILLISECONDS = 100;

class Transport {
  constructor(context, tracks, changed) {
    Object.assign(this, { context, tracks, changed, rate: context.sampleRate, playing: false, offset: 0, passes: [], loop: null });
    this.length = 0; // of the song, as far as it is known
    this.whole = false; // whether all of it is there
  }

  get ready() { // up to where it can be played
    return Math.min(...this.tracks.map((track) => track.pieces.at(-1)?.end ?? 0));
  }

  get now() {
    return Math.round(this.context.currentTime * this.rate);
  }

  get position() {
    if (!this.playing || !this.passes.length) return this.offset;
    const now = this.now;
    const pass = this.passes.findLast((one) => one.at <= now) ?? this.passes[0];
    return Math.min(pass.to, pass.from + Math.max(0, now - pass.at));
  }

  get starving() { // it would go on, had more been computed
    const last = this.passes.at(-1);
    return this.playing && !this.whole && Boolean(last) && this.position >= last.to;
  }

  async play() {
    if (this.playing || !this.ready) return;
    this.playing = true; // before anything is waited for: a second click must find it so
    this.changed();
    await this.context.resume(); // browsers let sound begin with a click only
    if (this.playing && !this.passes.length) this.begin();
  }

  begin() {
    if (this.whole && this.offset >= this.length) this.offset = 0;
    this.pass(this.now + Math.round(START_SECONDS * this.rate), this.offset);
    this.timer = setInterval(() => this.plan(), PLAN_MILLISECONDS);
    this.plan();
  }

  pause() {
    this.offset = this.position;
    this.halt();
    this.playing = false;
    this.changed();
  }

  halt() {
    clearInterval(this.timer);
    this.passes = [];
    for (const track of this.tracks) track.stop();
  }

  seek(sample) {
    const limit = this.whole ? this.length : this.ready;
    const goOn = this.playing && this.passes.length > 0;
    if (goOn) this.halt();
    this.offset = Math.min(limit, Math.max(0, Math.round(sample)));
    if (goOn) this.begin();
    this.changed();
  }

  repeat(from, to) { // a passage, from … to; nothing: no passage
    const shortest = 0.05 * this.rate;
    const within = (sample) => Math.min(this.length, Math.max(0, Math.round(sample)));
    this.loop = to - from >= shortest ? { from: within(from), to: within(to) } : null;
    const { position } = this;
    const outside = this.loop && (position < this.loop.from || position >= this.loop.to);
    this.seek(outside ? this.loop.from : position);
  }

  plan() { // schedule the next pass once the last one is nearly over
    const soon = this.now + AHEAD_SECONDS * this.rate;
    for (let last = this.passes.at(-1); last.at + last.to - last.from < soon; last = this.passes.at(-1)) {
      const end = last.at + last.to - last.from;
      const from = this.loop?.to === last.to ? this.loop.from : last.to;
      if (this.whole && from >= this.length) {
        if (this.now >= end) this.pause();
        break;
      }
      if (from >= this.ready) break;
      this.pass(Math.max(end, this.now + Math.round(START_SECONDS * this.rate)), from);
    }
    this.passes = this.passes.filter((pass) => pass.at + pass.to - pass.from > this.now || pass === this.passes.at(-1));
    this.changed();
  }

  pass(at, from) {
    const to = this.loop && from < this.loop.to ? Math.min(this.loop.to, this.ready) : this.ready;
    for (const track of this.tracks) track.schedule(this.context, at, from, to);
    this.passes.push({ at, from, to });
  }
}
