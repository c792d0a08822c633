// @ts-check
/** From a row of several channels' spectra to one value for each channel, as the multichannel view draws them. */

/**
 * B = sqrt(sum over the band of A²·fs/N): the root of the band's power, in the fibre's unit. A channel with a bin that
 * is not finite has no value (NaN).
 * @param {Float32Array} row amplitudes, unit/√Hz, `[channel][bin]` @param {number} bins
 * @param {number} spacing Hz from bin to bin, fs/N
 * @param {Float32Array} into @param {number} at where the first channel's value goes
 */
export function bandValues(row, bins, spacing, into, at) {
  const channels = row.length / bins;
  for (let channel = 0, i = 0; channel < channels; channel += 1) {
    let power = 0;
    for (const end = i + bins; i < end; i += 1) power += row[i] * row[i];
    into[at + channel] = power < Infinity ? Math.sqrt(power * spacing) : NaN;
  }
}
