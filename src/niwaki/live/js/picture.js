// From what a browser decodes to what the network takes: grey or colour, the resize rule, padding.
// Resizing and grey are those of Pillow, with which the training images were made, to the bit.

// A bitmap, a video or a canvas as ImageData: transparency on black, its longer side at most `longest`.
function imageOf(source, width, height, longest, canvas = document.createElement("canvas")) {
  const factor = Math.min(1, longest / Math.max(width, height));
  const size = [Math.max(1, Math.round(width * factor)), Math.max(1, Math.round(height * factor))];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#000";
  context.fillRect(0, 0, ...size);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, ...size);
  return context.getImageData(0, 0, ...size);
}

function greyOf(image) {
  const grey = new Uint8Array(image.width * image.height);
  for (let i = 0; i < grey.length; i++) {
    const [red, green, blue] = [image.data[4 * i], image.data[4 * i + 1], image.data[4 * i + 2]];
    grey[i] = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
  }
  return grey;
}

// The network's channels, each a plane of bytes.
function planesOf(image) {
  if (data.input.channels === 1) return [greyOf(image)];
  return [0, 1, 2].map((channel) => Uint8Array.from({ length: image.width * image.height }, (_, i) => image.data[4 * i + channel]));
}

// Weights of a triangle over the input for every output pixel, in units of 2^-22, as Pillow rounds them.
function triangles(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(from, Math.trunc(centre + support + 0.5)) - first;
    const raw = Array.from({ length: count }, (_unused, i) => Math.max(0, 1 - Math.abs((i + first - centre + 0.5) / support)));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((weight) => Math.trunc(0.5 + (weight / sum) * (1 << 22))) };
  });
}

// One axis of a plane resized: `stride` bytes lie between neighbours along it, `step` between its lines.
function resizedAlong(plane, from, to, lines, stride, step, outStride, outStep) {
  const out = new Uint8Array(to * lines);
  const table = triangles(from, to);
  for (let line = 0; line < lines; line++) {
    for (let at = 0; at < to; at++) {
      const { first, weights } = table[at];
      let sum = 1 << 21;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * plane[line * step + (first + i) * stride];
      out[line * outStep + at * outStride] = Math.min(255, sum >> 22);
    }
  }
  return out;
}

function resized(plane, width, height, toWidth, toHeight) {
  let out = plane;
  if (width !== toWidth) out = resizedAlong(out, width, toWidth, height, 1, width, 1, toWidth);
  if (height !== toHeight) out = resizedAlong(out, height, toHeight, toWidth, toWidth, 1, toWidth, 1);
  return out;
}

// A window of a plane; what lies outside of it is 0.
function cut(plane, width, height, left, top, toWidth, toHeight) {
  const out = new Uint8Array(toWidth * toHeight);
  for (let y = Math.max(0, -top); y < Math.min(toHeight, height - top); y++) {
    for (let x = Math.max(0, -left); x < Math.min(toWidth, width - left); x++) {
      out[y * toWidth + x] = plane[(y + top) * width + x + left];
    }
  }
  return out;
}

function halfToEven(value) {
  const near = Math.round(value);
  return near - value === 0.5 && near % 2 ? near - 1 : near;
}

// A plane by the resize rule of the preprocessing: stretch, fit or crop.
function byRule(plane, width, height) {
  const { width: toWidth, height: toHeight, resize } = data.input;
  if (resize === "stretch") return resized(plane, width, height, toWidth, toHeight);
  const factors = [toHeight / height, toWidth / width];
  const factor = resize === "fit" ? Math.min(...factors) : Math.max(...factors);
  const floor = resize === "fit" ? [1, 1] : [toWidth, toHeight];
  const inner = [Math.max(floor[0], halfToEven(width * factor)), Math.max(floor[1], halfToEven(height * factor))];
  const [left, top] = [(inner[0] - toWidth) / 2, (inner[1] - toHeight) / 2];
  const whole = resize === "fit" ? [-Math.floor(-left), -Math.floor(-top)] : [Math.floor(left), Math.floor(top)];
  return cut(resized(plane, width, height, ...inner), ...inner, ...whole, toWidth, toHeight);
}

// All planes one after another.
function joined(planes) {
  const out = new Uint8Array(planes.length * planes[0].length);
  planes.forEach((plane, index) => out.set(plane, index * plane.length));
  return out;
}

// An image by the preprocessing alone, channels first; one of the network's own size is taken as it is.
function prepared(image) {
  const { width, height, pad } = data.input;
  const planes = planesOf(image);
  if (isInput(image)) return joined(planes.map((plane) => cut(plane, image.width, image.height, pad, pad, width, height)));
  return joined(planes.map((plane) => byRule(plane, image.width, image.height)));
}

const isInput = ({ width, height }) => width === data.input.width + 2 * data.input.pad && height === data.input.height + 2 * data.input.pad;
const isOwnSize = (image) => isInput(image) || (image.width === data.input.width && image.height === data.input.height);

// A picture with the raw zeros around it that the network takes with it.
function padded(picture) {
  const { channels, width, height, pad } = data.input;
  const plane = width * height;
  return joined(
    Array.from({ length: channels }, (_, c) =>
      cut(picture.subarray(c * plane, (c + 1) * plane), width, height, -pad, -pad, width + 2 * pad, height + 2 * pad),
    ),
  );
}
