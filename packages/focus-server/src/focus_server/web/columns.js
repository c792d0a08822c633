// @ts-check
/** What lies from left to right in a picture: the frequencies of one channel, or the channels of a multichannel view. */

import { SINGLE_CHANNEL, WATERFALL } from "./settings.js";

/** @typedef {import("./api.js").JobAnswer} JobAnswer */
/**
 * @typedef {object} Scale what an axis below the picture shows
 * @property {string} name with its unit
 * @property {number} first value at the centre of the first column
 * @property {number} last value at the centre of the last column
 * @property {number} finest step between marks that has a meaning
 */
/**
 * @typedef {object} Columns
 * @property {number} count
 * @property {(column: number) => number} channel number of a column's channel
 * @property {{ name: string, unit: string, of: (column: number) => number }} values what a column stands for
 * @property {(fibreStart: number) => string} title of the picture; the fibre's start in m, NaN when not known
 * @property {(column: number) => string} what a column is
 * @property {(column: number, fibreStart: number) => string} where a column is on the fibre
 * @property {string} unit of the values, such as 1 counts/√Hz
 * @property {(fibreStart: number) => Scale[]} scales the axes below
 */

/** @param {JobAnswer} job @returns {Columns} */
export function columnsOf(job) {
  return job.view_type === SINGLE_CHANNEL ? frequencyColumns(job) : channelColumns(job);
}

/** @param {JobAnswer} job @returns {Columns} */
export function frequencyColumns(job) {
  const { frequencies_list: frequencies, metadata: { dx, units } } = job;
  const channel = firstChannel(job);
  const count = frequencies.length;
  return {
    count,
    channel: () => channel,
    values: { name: "frequency", unit: "Hz", of: (column) => frequencies[column] },
    title: (start) => `${placeText(channel, dx, start)} · ${bandText(frequencies)}`,
    what: (column) => `${frequencies[column].toFixed(2)} Hz`,
    where: (_, start) => placeText(channel, dx, start),
    unit: /[/· ]/.test(units) ? `1 (${units})/√Hz` : `1 ${units}/√Hz`,
    scales: () => [{ name: "Frequency, Hz", first: frequencies[0], last: frequencies[count - 1], finest: 0 }],
  };
}

/** @param {JobAnswer} job of a multichannel view or a waterfall @returns {Columns} */
export function channelColumns(job) {
  const { dx, units } = job.metadata;
  const shown = job.view_type === WATERFALL ? "level of all frequencies" : bandText(job.frequencies_list);
  const first = firstChannel(job);
  const last = first + job.channel_amount - 1;
  const metres = (/** @type {number} */ channel, /** @type {number} */ start) => start + (channel - 1) * dx;
  return {
    count: job.channel_amount,
    channel: (column) => first + column,
    values: { name: "channel", unit: "", of: (column) => first + column },
    title: (start) => `${rangeText(first, last, dx, start)} · ${shown}`,
    what: (column) => `Channel ${first + column}`,
    where: (column, start) => placeText(first + column, dx, start).split(" · ")[1] ?? "",
    unit: /[/· ]/.test(units) ? `1 (${units})` : `1 ${units}`,
    scales: (start) => {
      const channels = { name: "Channel", first, last, finest: 1 };
      if (Number.isNaN(start)) return [channels];
      return [channels, { name: "Metres", first: metres(first, start), last: metres(last, start), finest: 0 }];
    },
  };
}

/** @param {JobAnswer} job */
function firstChannel(job) {
  return Math.min(...Object.keys(job.channel_to_stream_index).map(Number));
}

/** @param {number} channel @param {number} dx m @param {number} fibreStart m; NaN when not known */
function placeText(channel, dx, fibreStart) {
  const metres = fibreStart + (channel - 1) * dx;
  return Number.isNaN(metres) ? `Channel ${channel}` : `Channel ${channel} · ${metres.toFixed(1)} m`;
}

/** @param {number} first @param {number} last @param {number} dx m @param {number} fibreStart m; NaN when not known */
function rangeText(first, last, dx, fibreStart) {
  const from = fibreStart + (first - 1) * dx;
  const to = fibreStart + (last - 1) * dx;
  const place = Number.isNaN(from) ? "" : ` · ${from.toFixed(1)} to ${to.toFixed(1)} m`;
  return `Channels ${first} to ${last}${place}`;
}

/** @param {number[]} frequencies Hz */
function bandText(frequencies) {
  return `${frequencies[0].toFixed(1)} to ${frequencies[frequencies.length - 1].toFixed(1)} Hz`;
}
