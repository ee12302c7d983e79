// A pad to draw on, bright on black. A drawing goes the way of a photograph: size and place do not matter then.
const MARGIN = 40; // of black around the pad, so that nothing drawn touches the border of the frame
const STEP = 10; // pixels that an arrow key goes

class Pad {
  constructor(live) {
    this.live = live;
    this.eye = live.newEye();
    this.canvas = byId("pad");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.cursor = { x: this.canvas.width / 2, y: this.canvas.height / 2, down: false };
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.draw(event));
    for (const end of ["pointerup", "pointercancel"]) this.canvas.addEventListener(end, () => this.end());
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    byId("clear").addEventListener("click", () => this.clear());
    this.ink = this.newInk();
    this.paint();
  }

  // What is drawn, apart from the cursor that is shown over it.
  newInk() {
    const ink = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    [ink.canvas.width, ink.canvas.height] = [this.canvas.width, this.canvas.height];
    ink.fillRect(0, 0, ink.canvas.width, ink.canvas.height);
    [ink.strokeStyle, ink.lineCap, ink.lineJoin] = ["#fff", "round", "round"];
    return ink;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const factor = this.canvas.width / box.width;
    return { x: (event.clientX - box.left) * factor, y: (event.clientY - box.top) * factor };
  }

  begin(event) {
    if (event.button) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.keys = false;
    this.line(this.last);
  }

  draw(event) {
    if (!this.last) return;
    for (const one of event.getCoalescedEvents?.() || [event]) this.line(this.place(one));
    this.line(this.place(event));
  }

  line(to) {
    this.ink.lineWidth = Number(byId("pen").value);
    this.ink.beginPath();
    this.ink.moveTo(this.last.x, this.last.y);
    this.ink.lineTo(to.x, to.y);
    this.ink.stroke();
    this.last = to;
    this.drawn = true;
    this.soon();
  }

  end() {
    if (!this.last) return;
    this.last = null;
    if (byId("fill").checked) fillClosed(this.ink);
    this.look(true);
  }

  key(event) {
    const steps = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
    const [step, lowers] = [steps[event.key], event.key === " "];
    if (!step && !lowers) return;
    event.preventDefault();
    this.keys = true;
    const cursor = this.cursor;
    if (lowers) {
      cursor.down = !cursor.down;
      this.last = { x: cursor.x, y: cursor.y };
      if (cursor.down) this.line(this.last);
      else this.end();
    } else {
      cursor.x = Math.min(this.canvas.width, Math.max(0, cursor.x + step[0]));
      cursor.y = Math.min(this.canvas.height, Math.max(0, cursor.y + step[1]));
      if (cursor.down) this.line({ x: cursor.x, y: cursor.y });
    }
    this.paint();
  }

  enter() {
    if (this.drawn) this.look(true);
    else this.live.empty(text("waiting"));
  }

  clear() {
    this.ink = this.newInk();
    this.last = null;
    this.drawn = false;
    this.cursor.down = false;
    this.paint();
    this.live.empty(text("waiting"));
  }

  // Once per picture of the screen, however many events there are.
  soon() {
    if (!this.waiting) this.waiting = requestAnimationFrame(() => this.look(false));
  }

  paint() {
    const { width, height } = this.canvas;
    this.context.putImageData(this.ink.getImageData(0, 0, width, height), 0, 0);
    if (!this.keys) return;
    const { x, y, down } = this.cursor;
    [this.context.strokeStyle, this.context.lineWidth] = [down ? "#fc0" : "#9cf", 2];
    this.context.beginPath();
    this.context.arc(x, y, Math.max(4, Number(byId("pen").value) / 2), 0, 7);
    this.context.stroke();
  }

  // `settled` where a stroke has ended: only then it is spoken.
  look(settled) {
    cancelAnimationFrame(this.waiting);
    this.waiting = 0;
    this.paint();
    const { width, height } = this.canvas;
    const margin = this.eye ? MARGIN : 0;
    const image = this.ink.getImageData(-margin, -margin, width + 2 * margin, height + 2 * margin);
    const seen = this.live.see(image, this.eye, true);
    this.live.show({ ...seen, settled });
  }
}

// Fills what a drawn line encloses: all that cannot be reached from the border.
function fillClosed(ink) {
  const { width, height } = ink.canvas;
  const image = ink.getImageData(0, 0, width, height);
  const outside = new Uint8Array(width * height);
  const queue = [];
  const reach = (x, y) => {
    const at = y * width + x;
    if (x < 0 || y < 0 || x >= width || y >= height || outside[at] || image.data[4 * at] > 127) return;
    outside[at] = 1;
    queue.push(x, y);
  };
  for (let x = 0; x < width; x++) [reach(x, 0), reach(x, height - 1)];
  for (let y = 0; y < height; y++) [reach(0, y), reach(width - 1, y)];
  while (queue.length) {
    const [y, x] = [queue.pop(), queue.pop()];
    [reach(x - 1, y), reach(x + 1, y), reach(x, y - 1), reach(x, y + 1)];
  }
  outside.forEach((out, at) => out || image.data.fill(255, 4 * at, 4 * at + 4));
  ink.putImageData(image, 0, 0);
}
