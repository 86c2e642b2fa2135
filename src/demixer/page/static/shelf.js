// <song-list> and <song-mixer>: the visitor's songs, and the mixer of the chosen one. What is shown is what the server
// says (demixer.page.views.shelf): it is asked when something happened, and again and again while songs are computed.

const LOOK_MILLISECONDS = 500;
const AWAY_MILLISECONDS = 2000;
const HERE_MILLISECONDS = 20_000; // an open page keeps its songs
class SongRow {
  constructor(shelf, id) {
    this.name = make("b");
    this.facts = make("span", { class: "faint" });
    this.pick = make("button", { type: "button", class: "pick", onclick: () => shelf.choose(id) }, this.name, this.facts);
    this.drop = make("button", { type: "button", class: "drop", icon: "close", onclick: () => shelf.drop(id) });
    this.words = make("span", { class: "words" });
    this.detail = make("span", { class: "faint" });
    this.fill = make("i");
    this.bar = make("div", { class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, this.fill);
    this.element = make("li", { "data-id": id }, this.pick, this.drop, make("div", { class: "state" }, this.words, this.detail), this.bar);
  }

  show(song, chosen) {
    say(this.name, song.name);
    say(this.facts, song.facts);
    say(this.words, song.words);
    say(this.detail, song.detail);
    this.element.dataset.phase = song.phase;
    this.pick.setAttribute("aria-pressed", chosen);
    const wish = `${song.busy ? "cancel" : "remove"} ${song.name}`;
    this.drop.setAttribute("aria-label", wish);
    this.drop.title = wish;
    this.bar.hidden = !song.busy;
    this.bar.setAttribute("aria-label", `progress of ${song.name}`);
    this.bar.setAttribute("aria-valuenow", Math.round(100 * song.share));
    this.fill.style.width = `${(100 * song.share).toFixed(1)}%`;
  }
}

class Shelf {
  constructor() {
    this.rows = new Map();
    this.songs = [];
    this.removed = new Set();
    this.list = make("ul", { class: "songs", "aria-label": "songs" });
    this.errors = make("div", { role: "alert" });
    this.away = make("div", { role: "status", class: "away" });
    this.spoken = make("div", { role: "status", class: "unseen" });
    this.place = make("div");
    for (const kind of ["online", "pageshow", "focus"]) window.addEventListener(kind, () => this.look());
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    const others = new BroadcastChannel("music demixer");
    others.onmessage = () => this.look(); // another page of this visitor has left, but this one has not
    window.addEventListener("pagehide", () => { navigator.sendBeacon("songs/leave"); others.postMessage("left"); });
    this.look();
  }

  async look() { // one look at a time; asked for in between, another one follows
    if (this.looking) return void (this.again = true);
    this.looking = true;
    clearTimeout(this.timer);
    let pause = HERE_MILLISECONDS;
    try {
      this.show(await this.ask("songs"));
      say(this.away, "");
      this.mix();
      if (this.songs.some((song) => song.busy)) pause = LOOK_MILLISECONDS;
    } catch (error) {
      say(this.away, "the connection is lost: trying again … Songs that were begun go on, and what is loaded here still plays.");
      pause = AWAY_MILLISECONDS;
    }
    this.looking = false;
    this.timer = setTimeout(() => this.look(), this.again ? 0 : pause);
    this.again = false;
  }

  async ask(path, options = {}) {
    const answer = await fetch(path, { cache: "no-store", ...options });
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
    return answer.json();
  }

  show({ songs, chosen, errors }) {
    const here = new Set(songs.map((song) => song.id));
    const gone = this.songs.filter((song) => !here.has(song.id) && !this.removed.has(song.id));
    const lost = gone.map((song) => ({ ...song, busy: false, phase: "gone", words: "no longer on the server: nobody used it for long, or the page was restarted. Drop the song again.", detail: "" }));
    songs = [...songs, ...lost];
    for (const song of songs) {
      const before = this.songs.find((one) => one.id === song.id);
      if (before && before.phase !== song.phase && ["done", "failed", "cancelled", "gone"].includes(song.phase))
        this.spoken.textContent = `${song.name}: ${song.words}`;
    }
    this.songs = songs;
    this.chosen = here.has(chosen) ? chosen : songs.at(-1)?.id;
    if (lost.some((song) => song.id === this.shown?.id)) this.chosen = this.shown.id; // it still plays
    this.arrange();
    const lines = errors.map((error) => `error: ${error}`);
    if ([...this.errors.children].map((line) => line.textContent).join("\n") !== lines.join("\n"))
      this.errors.replaceChildren(...lines.map((line) => make("div", { class: "line error" }, line)));
  }

  arrange() {
    const ids = this.songs.map((song) => song.id);
    for (const [id, row] of this.rows) {
      if (ids.includes(id)) continue;
      const focused = row.element.contains(document.activeElement);
      const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
      row.element.remove();
      this.rows.delete(id);
      if (focused) (next?.querySelector(".drop") ?? document.querySelector("#song button"))?.focus();
    }
    for (const song of this.songs) {
      if (!this.rows.has(song.id)) {
        this.rows.set(song.id, new SongRow(this, song.id));
        this.list.append(this.rows.get(song.id).element);
      }
      this.rows.get(song.id).show(song, song.id === this.chosen);
    }
  }

  async mix() { // bring the chosen song's mixer up to date, or another one in its place
    if (this.mixing) return; // it looks again at its end
    const song = this.songs.find((one) => one.id === this.chosen);
    if (this.shown && (this.shown.id !== song?.id || this.shown.edition !== song.edition || !song.segments)) {
      this.shown = null;
      this.place.replaceChildren();
    }
    const { mixer } = this.shown ?? {};
    if (!song?.segments || song.phase === "gone" || mixer?.ended || (song.phase !== "done" && song.segments === mixer?.segments)) return;
    this.mixing = true;
    try {
      await this.load(song);
    } catch (error) {
      if (song.phase === "done" && !(error instanceof TypeError)) this.shown?.mixer.fail(error); // else ask again
    }
    this.mixing = false;
    this.look();
  }

  async load(song) {
    const mix = await this.ask(`songs/${song.id}/mix?since=${this.shown?.mixer.segments ?? 0}`);
    if (mix?.edition !== song.edition) return;
    if (!this.shown) {
      this.shown = { id: song.id, edition: song.edition, mixer: make("stem-mixer") };
      this.place.replaceChildren(this.shown.mixer);
    }
    await this.shown.mixer.show(mix);
  }

  async act(id, what) {
    await this.ask(`songs/${id}/${what}`, { method: "POST" }).catch(() => null); // the look tells what is wrong
    this.look();
  }

  choose(id) {
    this.chosen = id;
    this.arrange();
    this.act(id, "choose");
  }

  drop(id) {
    const song = this.songs.find((one) => one.id === id);
    if (song.busy) return this.act(id, "cancel");
    this.removed.add(id);
    if (song.phase !== "gone") return this.act(id, "remove");
    this.songs = this.songs.filter((one) => one !== song);
    this.look();
  }
}

const shelf = new Shelf();

customElements.define("song-list", class extends HTMLElement {
  connectedCallback() { this.replaceChildren(shelf.errors, shelf.away, shelf.list, shelf.spoken); }
});
customElements.define("song-mixer", class extends HTMLElement {
  connectedCallback() { this.replaceChildren(shelf.place); }
});
customElements.define("song-news", class extends HTMLElement {
  connectedCallback() { shelf.look(); }
});
