// The WebAssembly module: the C of the model, and vision, in one memory.
const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
const OUTCOMES = ["found", "nothing", "small", "large"]; // by the numbers of niwaki_outcome
const FINDING = ["outcome", "x", "y", "width", "height", "polarity", "contrast", "usedScene"]; // int32 each

class Engine {
  constructor(exports) {
    const { channels, height, width, pad } = data.input;
    this.exports = exports;
    this.free = exports.__heap_base.value;
    this.inputSize = channels * (height + 2 * pad) * (width + 2 * pad);
    this.pixels = this.take(this.inputSize);
    this.output = this.take(data.classes.length);
    this.runModel = exports[`${data.prefix}_run_pixels`];
  }

  static async load() {
    const { instance } = await WebAssembly.instantiate(bytesOf(data.module), {});
    return new Engine(instance.exports);
  }

  // So many bytes of the module's memory, for good.
  take(bytes) {
    const at = (this.free + 15) & ~15;
    this.free = at + bytes;
    const missing = this.free - this.exports.memory.buffer.byteLength;
    if (missing > 0) this.exports.memory.grow((missing + 65535) >> 16);
    return at;
  }

  // Memory as an array. Not to be kept: it is void once the memory has grown.
  memory(at, length, Kind = Uint8Array) {
    return new Kind(this.exports.memory.buffer, at, length);
  }

  // The int8 scores of one input, raw pixels, channels first, with its padding.
  scores(pixels) {
    if (pixels.length !== this.inputSize) throw new RangeError(`${pixels.length} pixels, expected ${this.inputSize}`);
    this.memory(this.pixels, this.inputSize).set(pixels);
    this.runModel(this.pixels, this.output);
    return this.memory(this.output, data.classes.length, Int8Array).slice();
  }
}

// Vision for frames of one size at a time; with the size it changes its mind about the empty scene.
class Eye {
  constructor(engine) {
    this.engine = engine;
    this.capacity = 0;
    this.picture = engine.take(data.input.width * data.input.height);
    this.finding = engine.take(4 * FINDING.length);
  }

  call(name, ...values) {
    return this.engine.exports[`niwaki_vision_${name}`](...values);
  }

  prepare(width, height) {
    if (this.width === width && this.height === height) return;
    const sizes = [width, height, data.input.width, data.input.height];
    const bytes = this.call("bytes", ...sizes);
    if (!bytes) throw new RangeError(`a frame of ${width} × ${height} pixels`);
    const needed = bytes + width * height;
    if (needed > this.capacity) [this.work, this.capacity] = [this.engine.take(needed), needed];
    this.frame = this.work + bytes;
    this.call("init", this.work, ...sizes);
    [this.width, this.height] = [width, height];
  }

  load(grey, width, height) {
    this.prepare(width, height);
    this.engine.memory(this.frame, width * height).set(grey);
  }

  // Takes in one frame of the empty scene; returns how many there are now.
  learn(grey, width, height) {
    this.load(grey, width, height);
    return this.call("learn", this.work, this.frame, width);
  }

  forget() {
    if (this.width) this.call("forget", this.work);
  }

  // What is in a grey frame: the fields of niwaki_finding, and the picture cut out of it.
  find(grey, width, height) {
    this.load(grey, width, height);
    this.call("find", this.work, this.frame, width, this.picture, this.finding);
    const numbers = this.engine.memory(this.finding, FINDING.length, Int32Array);
    const found = Object.fromEntries(FINDING.map((name, index) => [name, numbers[index]]));
    const picture = this.engine.memory(this.picture, data.input.width * data.input.height).slice();
    return { ...found, picture };
  }
}

// The time of one call, which a clock of 0.1 ms cannot show: the median over batches of calls.
class Stopwatch {
  constructor(call) {
    this.call = call;
    this.count = 1;
    this.laps = [];
  }

  batch() {
    const start = performance.now();
    for (let i = 0; i < this.count; i++) this.call();
    return performance.now() - start;
  }

  // Times `laps` more batches of at least 2 ms each, and forgets those before the last 15.
  run(laps) {
    while (this.batch() < 2 && this.count < 1 << 20) this.count *= 2;
    for (let i = 0; i < laps; i++) this.laps.push((1000 * this.batch()) / this.count);
    this.laps = this.laps.slice(-15);
  }

  get microseconds() {
    return median(this.laps);
  }

  get runs() {
    return this.laps.length * this.count;
  }
}
