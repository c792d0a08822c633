// @ts-check
/**
 * The picture's shaders. The first gives the pixels of a line their colours and needs to run only for lines that
 * changed; the second puts the lines on the screen. That one runs for the whole picture in every frame, often on a
 * machine without a graphics processor, so it divides nothing and fetches once. Row r lies in slot r mod lines; a
 * slot's levels are folded over `u_parts` texture rows because a line may hold more values than a texture is wide.
 * Where a pixel covers several values or lines, the highest is shown, so a narrow peak is not lost; in a proof picture
 * a pixel is exactly one value.
 */

import { ENTRIES } from "./colours.js";
import { GAP } from "./ring.js";

export const VERTEX_SHADER = `#version 300 es
void main() {
  // One triangle that covers everything.
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(2.0 * corner - 1.0, 0.0, 1.0);
}`;

const HEAD = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp isampler2D;
`;

/** Draws slot y of the ring at height y: the colour of each pixel and, as its alpha, its rank among others. */
export const LINE_SHADER = `${HEAD}
uniform sampler2D u_levels;
uniform isampler2D u_rows;
uniform sampler2D u_colours;
uniform int u_across;     // pixels of the picture from left to right, the strip left out
uniform int u_bins;
uniform int u_width;      // texels in one part of a line
uniform int u_parts;
uniform int u_strip;      // width of the proof strip in pixels, 0 without
uniform float u_low;      // dB
uniform float u_span;     // dB
uniform vec3 u_empty;
uniform vec3 u_gap;
uniform vec3 u_gap_stripe;
uniform vec3 u_no_value;
out vec4 colour;

const float BEYOND = 1e38;   // no level in dB; what is past it stands for a value that is not there
const float ABSENT = 2.5e38; // below it: the part of the line that holds the value has not come

// Where lines share a pixel the highest rank is shown: what is missing, then the highest level.
const float EMPTY = 0.0;
const float NO_VALUE = 1.0 / 255.0;
const float LOWEST = 2.0 / 255.0;
const float HIGHEST = 254.0 / 255.0;
const float MISSING = 1.0;

bool bit_of(int row, int pixel) {
  if (pixel < 31) return ((row >> (30 - pixel)) & 1) == 1;
  int ones = 0;
  for (int i = 0; i < 31; i++) ones += (row >> i) & 1;
  return (ones & 1) == 0;
}

float level_at(int slot, int bin) {
  int part = bin / u_width;
  return texelFetch(u_levels, ivec2(bin - part * u_width, slot * u_parts + part), 0).r;
}

vec4 missing_at(ivec2 pixel) {
  return vec4(((pixel.x + pixel.y) & 7) < 4 ? u_gap : u_gap_stripe, MISSING);
}

vec4 value_at(int x, ivec2 pixel) {
  int first = x * u_bins / u_across;
  int last = max(first + 1, (x + 1) * u_bins / u_across);
  float level = -BEYOND;
  for (int bin = first; bin < last; bin++) {
    float here = level_at(pixel.y, bin);
    if (here < BEYOND) level = max(level, here);
    else if (here < ABSENT) return missing_at(pixel);
  }
  if (level <= -BEYOND) return vec4(u_no_value, NO_VALUE);
  float code = clamp(floor(${ENTRIES}.0 * (level - u_low) / u_span), 0.0, 255.0);
  return vec4(texelFetch(u_colours, ivec2(int(code), 0), 0).rgb, mix(LOWEST, HIGHEST, code / 255.0));
}

void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  int row = texelFetch(u_rows, ivec2(pixel.y, 0), 0).r;
  int x = pixel.x - u_strip;
  if (row == ${GAP}) colour = missing_at(pixel);
  else if (row < 0) colour = vec4(u_empty, EMPTY);
  else if (x < 0) colour = vec4(vec3(bit_of(row, pixel.x) ? 1.0 : 0.0), MISSING);
  else colour = value_at(x, pixel);
}`;

/** Draws the lines, the newest at the bottom. */
export const SCREEN_SHADER = `${HEAD}
uniform sampler2D u_drawn;
uniform int u_lines;
uniform int u_height;     // canvas, pixels
uniform float u_scale;    // lines to a pixel
uniform int u_slot;       // of the row at the bottom
uniform int u_depth;      // rows from the bottom upwards that are kept
uniform vec3 u_empty;
out vec4 colour;

vec4 line_at(int x, int age) {
  if (age >= u_depth) return vec4(u_empty, 0.0);
  int slot = u_slot - age;
  return texelFetch(u_drawn, ivec2(x, slot < 0 ? slot + u_lines : slot), 0);
}

void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  vec4 shown;
  if (u_lines == u_height) shown = line_at(pixel.x, pixel.y);
  else {
    int first = int(float(pixel.y) * u_scale);
    int last = min(u_lines, int(float(pixel.y + 1) * u_scale));
    shown = line_at(pixel.x, first);
    for (int age = first + 1; age < last; age++) {
      vec4 other = line_at(pixel.x, age);
      if (other.a > shown.a) shown = other;
    }
  }
  colour = vec4(shown.rgb, 1.0);
}`;
