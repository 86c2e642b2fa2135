// Tells the server that this tab is open, so that its songs stay, and when it closes, so that they go.
const EVERY_SECONDS = 20;
const tab = () => window.__gradio_session_hash__; // what Gradio calls this tab in all that it sends

setInterval(() => tab() && fetch(`presence/${tab()}`, { method: "POST" }).catch(() => {}), 1000 * EVERY_SECONDS);
addEventListener("pagehide", () => tab() && navigator.sendBeacon(`presence/${tab()}/leave`));
addEventListener("pageshow", (event) => event.persisted && location.reload()); // back in the history: ask anew
