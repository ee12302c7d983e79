// The data and elements of the page.
const data = JSON.parse(document.getElementById("live-data").textContent);
const byId = (name) => document.getElementById(`live-${name}`);

// A text of the page's language with its {names} filled in.
function text(key, values = {}) {
  return data.text[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

const nameOf = (index) => data.classes[index].shown;
const rounded = (value, digits = 0) =>
  value.toLocaleString(data.lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

function element(tag, className = "", content = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = content;
  return made;
}

// Draws a picture of the network's, channels first, 0 to 255, one canvas pixel for each of its own.
function draw(canvas, picture) {
  const { channels, height, width } = data.input;
  const image = new ImageData(width, height);
  const plane = width * height;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = picture[(channels === 3 ? c * plane : 0) + i];
    image.data[4 * i + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}
