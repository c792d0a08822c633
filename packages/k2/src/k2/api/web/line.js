// One line over time on a canvas, with its lowest and highest value and its times at the edges.

const PAD = { left: 4, right: 84, top: 10, bottom: 22 };

export function drawLine(canvas, points) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();

  const times = points.map(([time]) => time);
  const prices = points.map(([, price]) => price);
  const [first, last] = [times[0], Math.max(times.at(-1), times[0] + 1)];
  let [low, high] = [Math.min(...prices), Math.max(...prices)];
  if (high - low < 1e-9 * Math.abs(high)) [low, high] = [low - 0.01 * Math.abs(low), high + 0.01 * Math.abs(high)];
  const x = (time) => PAD.left + ((time - first) / (last - first)) * (width - PAD.left - PAD.right);
  const y = (price) => PAD.top + ((high - price) / (high - low)) * (height - PAD.top - PAD.bottom);

  context.font = "12px system-ui, sans-serif";
  context.fillStyle = colour("--quiet");
  context.strokeStyle = colour("--edge");
  context.lineWidth = 1;
  context.textBaseline = "middle";
  for (const price of [low, (low + high) / 2, high]) {
    const at = Math.round(y(price)) + 0.5;
    context.beginPath();
    context.moveTo(PAD.left, at);
    context.lineTo(width - PAD.right, at);
    context.stroke();
    context.fillText(price.toFixed(2), width - PAD.right + 8, at);
  }
  const clock = (time) => new Date(time).toISOString().slice(11, 19);
  context.textBaseline = "alphabetic";
  context.fillText(clock(first), PAD.left, height - 5);
  context.textAlign = "right";
  context.fillText(`${clock(times.at(-1))} UTC`, width - PAD.right, height - 5);

  context.strokeStyle = colour("--line");
  context.lineWidth = 1.5;
  context.lineJoin = "round";
  context.beginPath();
  points.forEach(([time, price], place) => {
    if (place === 0) context.moveTo(x(time), y(price));
    else {
      context.lineTo(x(time), y(prices[place - 1])); // a price holds until the next trade
      context.lineTo(x(time), y(price));
    }
  });
  context.stroke();
  context.fillStyle = colour("--line");
  context.beginPath();
  context.arc(x(times.at(-1)), y(prices.at(-1)), 3, 0, 2 * Math.PI);
  context.fill();
}
