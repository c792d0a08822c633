// @ts-check
/** The picture with its axes as an image file: what stands on the page, put on one canvas at the screen's resolution. */

const MARGIN = 16;

/**
 * @param {HTMLElement} plot @param {HTMLCanvasElement} picture whose pixels are fresh @param {string} caption below
 * @returns {Promise<Blob>} PNG
 */
export function png(plot, picture, caption) {
  const box = plot.getBoundingClientRect();
  const canvas = document.createElement("canvas");
  canvas.width = Math.round((box.width + 2 * MARGIN) * devicePixelRatio);
  canvas.height = Math.round((box.height + 3 * MARGIN + 10) * devicePixelRatio);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(devicePixelRatio, devicePixelRatio);
  context.fillStyle = getComputedStyle(document.body).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.translate(MARGIN - box.left, MARGIN - box.top);
  context.imageSmoothingEnabled = false;
  place(context, picture);
  place(context, /** @type {HTMLCanvasElement} */ (plot.querySelector("canvas.colour-bar")));
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (plot.querySelectorAll("#title, .unit, .mark, .behind"))) {
    if (element.offsetParent) write(context, element);
  }
  context.font = `12px ${getComputedStyle(plot).fontFamily}`;
  context.fillStyle = getComputedStyle(plot).color;
  context.textBaseline = "alphabetic";
  context.fillText(caption, box.left, box.bottom + MARGIN + 8);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The browser made no image of it."))), "image/png");
  });
}

/** @param {CanvasRenderingContext2D} context @param {HTMLCanvasElement} image */
function place(context, image) {
  const { left, top, width, height } = image.getBoundingClientRect();
  context.drawImage(image, left, top, width, height);
}

/** @param {CanvasRenderingContext2D} context @param {HTMLElement} element text and, of a mark, its tick */
function write(context, element) {
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  context.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  context.fillStyle = element.classList.contains("behind") ? getComputedStyle(element).backgroundColor : style.color;
  context.textBaseline = "middle";
  context.textAlign = style.textAlign === "center" ? "center" : style.textAlign === "right" ? "right" : "left";
  const x = context.textAlign === "center" ? (box.left + box.right) / 2 : context.textAlign === "right" ? box.right : box.left;
  context.fillText(element.textContent ?? "", x, (box.top + box.bottom) / 2);
  context.textAlign = "left";
  if (!element.classList.contains("mark")) return;
  const tick = getComputedStyle(element, "::before");
  const [width, height] = [parseFloat(tick.width), parseFloat(tick.height)];
  const left = box.left + parseFloat(tick.left);
  const top = box.top + parseFloat(tick.top);
  if ([left, top, width, height].every(Number.isFinite)) context.fillRect(left, top, width, height);
}
