// @ts-check
/**
 * Writes SEG-Y, revision 2, IEEE floats: one trace for each column of the picture, one sample for each line. After the
 * SEG Technical Standards Committee's "SEG-Y_r2.0" (positions below count from 0).
 */

/** @typedef {import("./visible.js").Visible} Visible */

const TEXT_BYTES = 3200;
const BINARY_BYTES = 400;
const TRACE_BYTES = 240;
const IEEE_FLOAT = 5;
const MOST_16 = 65_535;
/** What the text header may hold, and the same characters in code page 037. */
const PLAIN = " .(+,*)-/:'=ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const CODES = [
  0x40, 0x4b, 0x4d, 0x4e, 0x6b, 0x5c, 0x5d, 0x60, 0x61, 0x7a, 0x7d, 0x7e,
  0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9,
  0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9,
];

/** @param {Visible} visible @returns {Blob} */
export function segy(visible) {
  const { rows, columns, amplitudes } = visible;
  const view = new DataView(new ArrayBuffer(TEXT_BYTES + BINARY_BYTES + columns * (TRACE_BYTES + 4 * rows)));
  textHeader(view, visible);
  binaryHeader(view, visible);
  for (let column = 0; column < columns; column += 1) {
    const at = TEXT_BYTES + BINARY_BYTES + column * (TRACE_BYTES + 4 * rows);
    traceHeader(view, at, visible, column);
    for (let row = 0; row < rows; row += 1) view.setFloat32(at + TRACE_BYTES + 4 * row, amplitudes[row * columns + column]);
  }
  return new Blob([view.buffer], { type: "application/octet-stream" });
}

/** @param {DataView} view @param {Visible} visible */
function textHeader(view, { title, unit, name, columns, rows, lineSeconds, job, timesNs }) {
  const cards = [
    "AMPLITUDES AS SHOWN BY LIVEVIEW OF A FOCUS SERVER", title, `JOB ${job}`,
    `TRACES: ${columns}, ONE FOR EACH ${name}`, `SAMPLES: ${rows} LINES, ${1e6 * lineSeconds} MICROSECONDS APART`,
    `FIRST LINE CENTRED AT ${new Date(Number(timesNs[0] / 1_000_000n)).toISOString()} UTC`,
    `VALUES IN ${unit}, NOT A NUMBER WHERE THERE IS NONE`, "GROUP X IS THE DISTANCE ALONG THE FIBRE",
  ];
  for (let card = 0; card < 40; card += 1) {
    const last = card === 38 ? "SEG-Y REV2.0" : card === 39 ? "END TEXTUAL HEADER" : (cards[card] ?? "");
    const text = `C${String(card + 1).padStart(2)} ${last}`.toUpperCase().replaceAll("√HZ", "SQRT(HZ)");
    for (let i = 0; i < 80; i += 1) {
      const known = PLAIN.indexOf(text[i] ?? " ");
      view.setUint8(80 * card + i, CODES[Math.max(0, known)]);
    }
  }
}

/** @param {DataView} view @param {Visible} visible */
function binaryHeader(view, { rows, columns, lineSeconds }) {
  const at = TEXT_BYTES;
  view.setInt32(at, 1);
  view.setUint16(at + 12, Math.min(columns, MOST_16));
  view.setUint16(at + 16, Math.min(Math.round(1e6 * lineSeconds), MOST_16));
  view.setUint16(at + 20, Math.min(rows, MOST_16));
  view.setUint16(at + 24, IEEE_FLOAT);
  view.setUint32(at + 60, columns);
  view.setUint32(at + 68, rows);
  view.setFloat64(at + 72, 1e6 * lineSeconds);
  view.setUint32(at + 96, 0x01020304);
  view.setUint8(at + 300, 2);
  view.setUint16(at + 302, 1);
}

/** @param {DataView} view @param {number} at @param {Visible} visible @param {number} column */
function traceHeader(view, at, { rows, name, values, distances, lineSeconds, timesNs }, column) {
  view.setInt32(at, column + 1);
  view.setInt32(at + 4, column + 1);
  view.setInt32(at + 8, 1);
  view.setInt32(at + 12, name === "channel" ? values[column] : column + 1);
  view.setInt16(at + 28, 1);
  if (Number.isFinite(distances[column])) {
    view.setInt16(at + 70, -100);
    view.setInt32(at + 80, Math.round(100 * distances[column]));
    view.setInt16(at + 88, 1);
  }
  view.setUint16(at + 114, Math.min(rows, MOST_16));
  view.setUint16(at + 116, Math.min(Math.round(1e6 * lineSeconds), MOST_16));
  const first = new Date(Number(timesNs[0] / 1_000_000n));
  const year = first.getUTCFullYear();
  const day = Math.floor((first.getTime() - Date.UTC(year, 0, 1)) / 86_400_000) + 1;
  const clock = [year, day, first.getUTCHours(), first.getUTCMinutes(), first.getUTCSeconds()];
  clock.forEach((value, i) => view.setInt16(at + 156 + 2 * i, value));
  view.setInt16(at + 166, 4);
}
