// The mix as it stands, as a WAV file of 24 bits: every stem times the factor that is heard, summed.

const STEP = 2 ** 23;
const BLOCK = 1 << 16;

function sumOf(tracks, channel, from, to) {
  const sum = new Float64Array(to - from);
  for (const { pieces, volume } of tracks) {
    for (const piece of pieces) {
      const first = Math.max(from, piece.start);
      const last = Math.min(to, piece.end);
      if (first >= last || !volume) continue;
      const samples = piece.buffer.getChannelData(Math.min(channel, piece.buffer.numberOfChannels - 1));
      for (let i = first; i < last; i++) sum[i - from] += volume * samples[i - piece.start];
    }
  }
  return sum;
}

function peakOf(tracks, channels, length) {
  let peak = 0;
  for (let from = 0; from < length; from += BLOCK)
    for (let channel = 0; channel < channels; channel++)
      for (const sample of sumOf(tracks, channel, from, Math.min(length, from + BLOCK))) peak = Math.max(peak, Math.abs(sample));
  return peak;
}

function wavHeader(channels, rate, bytes) {
  const view = new DataView(new ArrayBuffer(44));
  const text = (place, letters) => [...letters].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
  text(0, "RIFF"), view.setUint32(4, 36 + bytes, true), text(8, "WAVEfmt ");
  view.setUint32(16, 16, true), view.setUint16(20, 1, true), view.setUint16(22, channels, true);
  view.setUint32(24, rate, true), view.setUint32(28, rate * channels * 3, true);
  view.setUint16(32, channels * 3, true), view.setUint16(34, 24, true);
  text(36, "data"), view.setUint32(40, bytes, true);
  return view;
}

// Give {file, quieter_db}: a mix that would clip is made quieter, and by how much is told.
function mixdown(tracks, length, rate) {
  const channels = Math.max(...tracks.map((track) => track.pieces[0].buffer.numberOfChannels));
  const highest = (STEP - 1) / STEP;
  const gain = Math.min(1, highest / Math.max(highest, peakOf(tracks, channels, length)));
  const parts = [wavHeader(channels, rate, length * channels * 3)];
  for (let from = 0; from < length; from += BLOCK) {
    const to = Math.min(length, from + BLOCK);
    const bytes = new Uint8Array((to - from) * channels * 3);
    for (let channel = 0; channel < channels; channel++) {
      sumOf(tracks, channel, from, to).forEach((sample, i) => {
        const whole = Math.round(sample * gain * STEP);
        const place = (i * channels + channel) * 3;
        bytes[place] = whole, bytes[place + 1] = whole >> 8, bytes[place + 2] = whole >> 16;
      });
    }
    parts.push(bytes);
  }
  return { file: new Blob(parts, { type: "audio/wav" }), quieter_db: -20 * Math.log10(gain) };
}
