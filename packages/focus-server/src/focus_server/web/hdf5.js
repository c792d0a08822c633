// @ts-check
/**
 * Writes HDF5: one group of contiguous datasets with text and number attributes, in the oldest form of the format,
 * which every reader knows. After the "HDF5 File Format Specification", version 1.1 structures.
 */

/** @typedef {string | number} Attribute */
/**
 * @typedef {object} Dataset
 * @property {string} name in ASCII
 * @property {Float32Array | Float64Array | BigInt64Array} data
 * @property {number[]} shape whose product is the data's length
 * @property {Record<string, Attribute>} [attributes]
 */

const UNDEFINED = 0xffffffffffffffffn;
const DATASPACE = 0x01;
const DATATYPE = 0x03;
const FILL_VALUE = 0x05;
const LAYOUT = 0x08;
const ATTRIBUTE = 0x0c;
const SYMBOL_TABLE = 0x11;
/** Half of the names that one leaf holds, and half of the children of a node. */
const LEAF = 4;
const NODE = 16;
const SUPERBLOCK_BYTES = 96;
const ENTRY_BYTES = 40;

/**
 * @param {Dataset[]} datasets at most eight @param {Record<string, Attribute>} attributes of the file
 * @returns {Blob}
 */
export function hdf5(datasets, attributes) {
  if (datasets.length > 2 * LEAF) throw new Error(`A file of ours holds ${2 * LEAF} datasets, not ${datasets.length}.`);
  const sorted = [...datasets].sort((a, b) => (a.name < b.name ? -1 : 1));
  const names = heapNames(sorted.map(({ name }) => name));
  const tree = SUPERBLOCK_BYTES;
  const leaf = tree + 24 + (4 * NODE + 1) * 8;
  const heap = leaf + 8 + 2 * LEAF * ENTRY_BYTES;
  const root = heap + 32 + names.bytes.length;
  const rootHeader = objectHeader([[SYMBOL_TABLE, new Bytes().u64(tree).u64(heap)], ...attributeMessages(attributes)]);
  let at = root + rootHeader.length;
  const headers = sorted.map((dataset) => {
    const place = at;
    at += datasetHeader(dataset, 0).length;
    return place;
  });
  const places = sorted.map(({ data }) => {
    const place = at;
    at += padded(data.byteLength);
    return place;
  });
  const file = new Bytes();
  superblock(file, at, root);
  group(file, names, headers, heap);
  file.bytes(rootHeader.value);
  sorted.forEach((dataset, i) => file.bytes(datasetHeader(dataset, places[i]).value));
  /** @type {BlobPart[]} */ const parts = [file.value];
  for (const { data } of sorted) {
    parts.push(/** @type {BlobPart} */ (data), new Uint8Array(padded(data.byteLength) - data.byteLength));
  }
  return new Blob(parts, { type: "application/x-hdf5" });
}

/** @param {Bytes} file @param {number} end of the file @param {number} root address of the group's header */
function superblock(file, end, root) {
  file.bytes([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0, 0, 8, 8, 0]).u16(LEAF).u16(NODE).u32(0);
  file.u64(0).u64(UNDEFINED).u64(end).u64(UNDEFINED);
  entry(file, 0, root);
}

/** @param {Bytes} file @param {{ bytes: Uint8Array, offsets: number[] }} names @param {number[]} headers @param {number} heap */
function group(file, names, headers, heap) {
  const tree = new Bytes().text("TREE").bytes([0, 0]).u16(1).u64(UNDEFINED).u64(UNDEFINED);
  const leafAt = heap - 8 - 2 * LEAF * ENTRY_BYTES;
  tree.u64(0).u64(leafAt).u64(names.offsets[names.offsets.length - 1] ?? 0);
  file.bytes(tree.value).zeros(24 + (4 * NODE + 1) * 8 - tree.length);
  file.text("SNOD").bytes([1, 0]).u16(headers.length);
  headers.forEach((header, i) => entry(file, names.offsets[i], header));
  file.zeros((2 * LEAF - headers.length) * ENTRY_BYTES);
  file.text("HEAP").bytes([0, 0, 0, 0]).u64(names.bytes.length).u64(1).u64(heap + 32).bytes(names.bytes);
}

/** @param {Bytes} file @param {number} name offset in the heap @param {number} header address */
function entry(file, name, header) {
  file.u64(name).u64(header).zeros(24);
}

/** @param {string[]} names @returns {{ bytes: Uint8Array, offsets: number[] }} */
function heapNames(names) {
  const heap = new Bytes().zeros(8);
  const offsets = names.map((name) => {
    const offset = heap.length;
    heap.text(name).zeros(1).align();
    return offset;
  });
  return { bytes: heap.value, offsets };
}

/** @param {Dataset} dataset @param {number} address of its data @returns {Bytes} */
function datasetHeader({ data, shape, attributes = {} }, address) {
  return objectHeader([
    [DATASPACE, dataspace(shape)], [DATATYPE, datatypeOf(data)], [FILL_VALUE, new Bytes().bytes([2, 2, 2, 0])],
    [LAYOUT, new Bytes().bytes([3, 1]).u64(address).u64(data.byteLength)], ...attributeMessages(attributes),
  ]);
}

/** @param {[number, Bytes][]} messages @returns {Bytes} */
function objectHeader(messages) {
  const body = new Bytes();
  for (const [kind, content] of messages) {
    content.align();
    body.u16(kind).u16(content.length).zeros(4).bytes(content.value);
  }
  return new Bytes().bytes([1, 0]).u16(messages.length).u32(1).u32(body.length).zeros(4).bytes(body.value);
}

/** @param {Record<string, Attribute>} attributes @returns {[number, Bytes][]} */
function attributeMessages(attributes) {
  return Object.entries(attributes).map(([name, value]) => {
    const text = typeof value === "string" ? new TextEncoder().encode(value) : null;
    const type = text ? stringType(text.length + 1) : datatypeOf(new Float64Array(1));
    const space = dataspace([]);
    const message = new Bytes().bytes([1, 0]).u16(name.length + 1).u16(type.length).u16(space.length);
    message.text(name).zeros(1).align().bytes(type.value).align().bytes(space.value);
    if (text) message.bytes(text).zeros(1);
    else message.f64(Number(value));
    return [ATTRIBUTE, message];
  });
}

/** @param {number[]} shape */
function dataspace(shape) {
  const space = new Bytes().bytes([1, shape.length, 0, 0, 0, 0, 0, 0]);
  for (const side of shape) space.u64(side);
  return space;
}

/** @param {number} length in bytes, its end included @returns {Bytes} UTF-8, ended by a zero */
function stringType(length) {
  return new Bytes().bytes([0x13, 0x10, 0, 0]).u32(length);
}

/** @param {Dataset["data"]} data */
function datatypeOf(data) {
  if (data instanceof BigInt64Array) return new Bytes().bytes([0x10, 0x08, 0, 0]).u32(8).u16(0).u16(64);
  if (data instanceof Float32Array) {
    return new Bytes().bytes([0x11, 0x20, 31, 0]).u32(4).u16(0).u16(32).bytes([23, 8, 0, 23]).u32(127);
  }
  return new Bytes().bytes([0x11, 0x20, 63, 0]).u32(8).u16(0).u16(64).bytes([52, 11, 0, 52]).u32(1023);
}

/** @param {number} length */
function padded(length) {
  return Math.ceil(length / 8) * 8;
}

/** Bytes that are put one after another, numbers little-endian. */
class Bytes {
  /** @type {number[]} */ #put = [];

  get length() {
    return this.#put.length;
  }

  get value() {
    return Uint8Array.from(this.#put);
  }

  /** @param {ArrayLike<number>} bytes */
  bytes(bytes) {
    for (let i = 0; i < bytes.length; i += 1) this.#put.push(bytes[i]);
    return this;
  }

  /** @param {number} count */
  zeros(count) {
    return this.bytes(new Uint8Array(count));
  }

  /** To a multiple of eight. */
  align() {
    return this.zeros(padded(this.length) - this.length);
  }

  /** @param {string} text in ASCII */
  text(text) {
    return this.bytes(new TextEncoder().encode(text));
  }

  /** @param {number} value */
  u16(value) {
    return this.bytes(new Uint8Array(Uint16Array.of(value).buffer));
  }

  /** @param {number} value */
  u32(value) {
    return this.bytes(new Uint8Array(Uint32Array.of(value).buffer));
  }

  /** @param {number | bigint} value */
  u64(value) {
    return this.bytes(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }

  /** @param {number} value */
  f64(value) {
    return this.bytes(new Uint8Array(Float64Array.of(value).buffer));
  }
}
