// @ts-check
/**
 * The picture's shader. Row r lies in slot r mod lines; a slot's levels are folded over `u_parts` texture rows because
 * a line may hold more bins than a texture is wide. Where a pixel covers several bins or lines, the highest level is
 * shown, so a narrow peak is not lost; in a proof picture a pixel is exactly one value.
 */

import { GAP } from "./ring.js";

export const VERTEX_SHADER = `#version 300 es
void main() {
  // One triangle that covers the whole canvas.
  vec2 corner = vec2(float((gl_VertexID << 1) & 2), float(gl_VertexID & 2));
  gl_Position = vec4(2.0 * corner - 1.0, 0.0, 1.0);
}`;

export const FRAGMENT_SHADER = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp isampler2D;

uniform sampler2D u_levels;
uniform isampler2D u_rows;
uniform sampler2D u_colours;
uniform ivec2 u_size;     // canvas, pixels
uniform int u_bins;
uniform int u_lines;
uniform int u_width;      // texels in one part of a line
uniform int u_parts;
uniform int u_newest;     // newest row, -1 before the first
uniform int u_strip;      // width of the proof strip in pixels, 0 without
uniform float u_low;      // dB
uniform float u_span;     // dB
uniform vec3 u_empty;
uniform vec3 u_gap;
uniform vec3 u_gap_stripe;
uniform vec3 u_no_value;
out vec4 colour;

const float BEYOND = 1e38; // no level in dB; what is past it stands for a missing value
const int GAP = ${GAP};

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

void main() {
  ivec2 pixel = ivec2(gl_FragCoord.xy);
  int across = u_size.x - u_strip;
  int x = pixel.x - u_strip;
  int first_bin = x * u_bins / across;
  int last_bin = max(first_bin + 1, (x + 1) * u_bins / across);
  int first_age = pixel.y * u_lines / u_size.y;
  int last_age = max(first_age + 1, (pixel.y + 1) * u_lines / u_size.y);

  float level = -BEYOND;
  bool any_line = false;
  bool any_gap = false;
  for (int age = first_age; age < last_age; age++) {
    int row = u_newest - age;
    if (row < 0) break;
    int slot = row % u_lines;
    int held = texelFetch(u_rows, ivec2(slot, 0), 0).r;
    any_gap = any_gap || held == GAP;
    if (held != row) continue;
    any_line = true;
    if (x < 0) {
      colour = vec4(vec3(bit_of(row, pixel.x) ? 1.0 : 0.0), 1.0);
      return;
    }
    for (int bin = first_bin; bin < last_bin; bin++) {
      float here = level_at(slot, bin);
      if (here < BEYOND) level = max(level, here);
    }
  }

  vec3 shown;
  if (any_gap) shown = ((pixel.x + pixel.y) & 7) < 4 ? u_gap : u_gap_stripe;
  else if (!any_line) shown = u_empty;
  else if (level <= -BEYOND) shown = u_no_value;
  else {
    float code = clamp(floor(256.0 * (level - u_low) / u_span), 0.0, 255.0);
    shown = texelFetch(u_colours, ivec2(int(code), 0), 0).rgb;
  }
  colour = vec4(shown, 1.0);
}`;
