// A stem's picture over time. A stem consists of pieces {start, end, buffer, peak}: samples of the song, in order.

const channelsOf = (buffer) => Array.from({ length: buffer.numberOfChannels }, (_, number) => buffer.getChannelData(number));

function pieceOf(start, buffer) {
  let peak = 1e-4;
  for (const samples of channelsOf(buffer)) for (const sample of samples) if (sample > peak || -sample > peak) peak = Math.abs(sample);
  return { start, end: start + buffer.length, buffer, peak };
}

function extremes(pieces, from, to) { // of the samples from … to: the lowest, the highest, the root mean square
  let low = 0, high = 0, sum = 0, count = 0;
  const step = Math.max(1, Math.floor((to - from) / 400)); // enough for a pixel
  for (const piece of pieces) {
    const first = Math.max(from, piece.start) - piece.start;
    const last = Math.min(to, piece.end) - piece.start;
    if (first >= last) continue;
    for (const samples of channelsOf(piece.buffer)) {
      for (let i = first; i < last; i += step, count++) {
        const sample = samples[i];
        if (sample < low) low = sample;
        if (sample > high) high = sample;
        sum += sample * sample;
      }
    }
  }
  return [low, high, Math.sqrt(sum / Math.max(1, count))];
}

function drawWaveform(canvas, pieces, length, loudest) { // per column of pixels the extremes (pale) and the mean (strong)
  const ratio = window.devicePixelRatio || 1;
  const width = (canvas.width = Math.round(canvas.clientWidth * ratio));
  const height = (canvas.height = Math.round(canvas.clientHeight * ratio));
  if (!pieces.length || !width || !length) return;
  const brush = canvas.getContext("2d");
  brush.fillStyle = getComputedStyle(canvas).color;
  const scale = height / 2 / loudest;
  const each = length / width;
  const columns = Math.min(width, Math.ceil(pieces.at(-1).end / each)); // what is not computed yet stays empty
  for (let x = 0; x < columns; x++) {
    const [low, high, rms] = extremes(pieces, Math.floor(x * each), Math.ceil((x + 1) * each));
    brush.globalAlpha = 0.4;
    brush.fillRect(x, height / 2 - high * scale, 1, Math.max(1, (high - low) * scale));
    brush.globalAlpha = 1;
    brush.fillRect(x, height / 2 - rms * scale, 1, 2 * rms * scale);
  }
}
