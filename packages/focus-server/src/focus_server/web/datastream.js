// @ts-check
/**
 * Reads serialised `DataStream` messages (protobuf wire format), only as much of protobuf as that message needs.
 * Unknown fields are skipped; anything malformed is a `MalformedMessage` that says where.
 */

/**
 * @typedef {object} DataStream
 * @property {number} startChannel first channel number
 * @property {number} endChannel last channel number, included
 * @property {number[]} timestamps ms since 1970 (UTC), one per row
 * @property {number[]} rowIndex line numbers on the fibre's grid, counted from the job's first line
 * @property {number} bins values per channel and row (`data_shape_x`)
 * @property {number} rows rows in this message (`data_shape_y`)
 * @property {number} channels channels per row (`data_shape_z`, absent means 1)
 * @property {Float32Array[]} data one array per row, `[channel][bin]`, amplitudes in unit/√Hz
 */

export class MalformedMessage extends Error {}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const START_CHANNEL = 1;
const END_CHANNEL = 2;
const TIMESTAMP = 3;
const ROW_INDEX = 4;
const SHAPE_X = 5;
const SHAPE_Y = 6;
const MAIN_DATA = 9;
const SHAPE_Z = 11;

/**
 * @param {ArrayBuffer} buffer one serialised message
 * @returns {DataStream}
 */
export function readDataStream(buffer) {
  const reader = new Reader(new Uint8Array(buffer));
  /** @type {DataStream} */
  const message = {
    startChannel: 0, endChannel: 0, timestamps: [], rowIndex: [], bins: 0, rows: 0, channels: 1, data: [],
  };
  while (!reader.atEnd) readField(reader, message);
  checkShape(message);
  return message;
}

/** @param {Reader} reader @param {DataStream} message */
function readField(reader, message) {
  const tag = reader.varint();
  const wire = tag & 7;
  switch (Math.floor(tag / 8)) {
    case START_CHANNEL: message.startChannel = reader.int(wire); break;
    case END_CHANNEL: message.endChannel = reader.int(wire); break;
    case TIMESTAMP: reader.ints(wire, message.timestamps); break;
    case ROW_INDEX: reader.ints(wire, message.rowIndex); break;
    case SHAPE_X: message.bins = reader.int(wire); break;
    case SHAPE_Y: message.rows = reader.int(wire); break;
    case SHAPE_Z: message.channels = reader.int(wire); break;
    case MAIN_DATA: message.data.push(floats(reader.bytes(wire))); break;
    default: reader.skip(wire);
  }
}

/**
 * The bytes of a row begin anywhere in the message, a Float32Array only at multiples of four: hence the copy.
 * @param {Uint8Array} bytes
 */
function floats(bytes) {
  if (bytes.length % 4) throw new MalformedMessage(`a row has ${bytes.length} bytes, not a multiple of 4`);
  return new Float32Array(bytes.slice().buffer);
}

/** @param {DataStream} message */
function checkShape({ rows, bins, channels, rowIndex, timestamps, data }) {
  if (rowIndex.length !== rows || timestamps.length !== rows || data.length !== rows) {
    throw new MalformedMessage(
      `it announces ${rows} rows and carries ${rowIndex.length} numbers, ${timestamps.length} times, ${data.length} rows`,
    );
  }
  const wrong = data.find((row) => row.length !== bins * channels);
  if (wrong) throw new MalformedMessage(`a row has ${wrong.length} values instead of ${channels} × ${bins}`);
}

/** A position in the bytes of a message, which never passes their end. */
class Reader {
  #bytes;
  #at = 0;

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  get atEnd() {
    return this.#at >= this.#bytes.length;
  }

  /** One varint as a number; int64 beyond 2^53 loses its last bits, which no field of this message reaches. */
  varint() {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.atEnd) throw new MalformedMessage("it ends within a number");
      const byte = this.#bytes[this.#at++];
      if (shift < 28) low += (byte & 0x7f) * 2 ** shift;
      else high += (byte & 0x7f) * 2 ** (shift - 28);
      if (byte < 0x80) return low + signed36(high) * 2 ** 28;
    }
    throw new MalformedMessage("a number is longer than ten bytes");
  }

  /** @param {number} wire */
  int(wire) {
    expect(wire, VARINT);
    return this.varint();
  }

  /** @param {number} wire @param {number[]} into packed or not, both are valid */
  ints(wire, into) {
    if (wire === VARINT) {
      into.push(this.varint());
      return;
    }
    const packed = new Reader(this.bytes(wire));
    while (!packed.atEnd) into.push(packed.varint());
  }

  /** @param {number} wire */
  bytes(wire) {
    expect(wire, BYTES);
    return this.#take(this.varint());
  }

  /** @param {number} wire */
  skip(wire) {
    if (wire === VARINT) this.varint();
    else if (wire === FIXED64) this.#take(8);
    else if (wire === BYTES) this.#take(this.varint());
    else if (wire === FIXED32) this.#take(4);
    else throw new MalformedMessage(`wire type ${wire} is unknown`);
  }

  /** @param {number} length */
  #take(length) {
    const end = this.#at + length;
    if (length < 0 || end > this.#bytes.length) throw new MalformedMessage("it ends within a field");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }
}

/**
 * The upper 36 bits of a 64 bit number: negative numbers come as two's complement in ten bytes.
 * @param {number} high
 */
function signed36(high) {
  const bits = high % 2 ** 36;
  return bits >= 2 ** 35 ? bits - 2 ** 36 : bits;
}

/** @param {number} wire @param {number} wanted */
function expect(wire, wanted) {
  if (wire !== wanted) throw new MalformedMessage(`a field has wire type ${wire} instead of ${wanted}`);
}
