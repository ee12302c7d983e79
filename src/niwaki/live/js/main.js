// Brings the parts together: what is shown to the network goes through here, and what it says.
const SMALLEST = 16; // pixels of a frame's side: NIWAKI_VISION_MIN_SIDE

class Live {
  constructor(engine) {
    this.engine = engine;
    this.current = null; // the class that is shown
    this.readout = new Readout(new Stopwatch(() => engine.runModel(engine.pixels, engine.output)));
    this.speech = new Speech(() => this.current);
    this.ways = { picture: new FileInput(this), camera: new Camera(this), pad: new Pad(this) };
    if (data.strip) this.ways = { strip: new Strip(this), ...this.ways };
    this.modes = Object.keys(this.ways); // in the order of their tabs
    this.listen();
  }

  listen() {
    for (const mode of this.modes) {
      byId(`tab-${mode}`).addEventListener("click", () => this.choose(mode));
      byId(`tab-${mode}`).addEventListener("keydown", (event) => this.moveTab(event, mode));
    }
    if (!data.vision) return;
    byId("find").checked = data.finds;
    byId("find").addEventListener("change", () => this.mode === "picture" && this.ways.picture.enter());
  }

  // Vision of its own for each way in: each has its own size of frames, the camera its empty scene.
  newEye() {
    return data.vision ? new Eye(this.engine) : null;
  }

  choose(mode) {
    if (mode !== "camera") this.ways.camera.stop();
    this.mode = mode;
    for (const other of this.modes) {
      const chosen = other === mode;
      byId(`panel-${other}`).hidden = !chosen;
      byId(`tab-${other}`).setAttribute("aria-selected", String(chosen));
      byId(`tab-${other}`).tabIndex = chosen ? 0 : -1;
    }
    if (byId("find-row")) byId("find-row").hidden = mode !== "picture" && mode !== "camera";
    this.ways[mode].enter();
  }

  moveTab(event, mode) {
    const at = this.modes.indexOf(mode);
    const last = this.modes.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(this.modes[to]);
    byId(`tab-${this.modes[to]}`).focus();
  }

  scores(picture) {
    return this.engine.scores(padded(picture));
  }

  // What the network sees of an image and says of it; with an eye, the garment is looked for first.
  see(image, eye, always = false) {
    if (!eye || !(always || byId("find").checked) || Math.min(image.width, image.height) < SMALLEST) {
      const picture = prepared(image);
      return { picture, finding: null, findTime: null, scores: this.scores(picture) };
    }
    const grey = greyOf(image);
    const start = performance.now();
    const finding = eye.find(grey, image.width, image.height);
    const findTime = performance.now() - start;
    const scores = finding.outcome === 0 ? this.scores(finding.picture) : null;
    return { picture: finding.picture, finding, findTime, scores };
  }

  // Shows a still picture. `settled` where it will not change again at once: then it is announced, timed and spoken.
  show({ picture, finding = null, scores = this.scores(picture), truth = null, settled = true }) {
    if (!scores) return this.empty(text(`found_${OUTCOMES[finding.outcome]}`));
    this.current = bestOf(scores);
    this.readout.show({ picture, scores, truth });
    if (!settled) return undefined;
    this.readout.time(15);
    this.readout.announceClass(scores);
    return this.speech.say(this.current);
  }

  // Shows one frame of a film, and what the last second speaks for.
  film({ picture, finding, scores }, { mean, word, say }) {
    if (!mean) return this.empty(text(`found_${OUTCOMES[finding.outcome]}`));
    if (!scores) return undefined; // for a moment only
    this.current = word;
    this.readout.show({ picture, scores: mean });
    this.readout.time(1);
    if (!say) return undefined;
    this.readout.announceClass(mean);
    return this.speech.say(word);
  }

  empty(reason) {
    this.current = null;
    this.readout.empty(reason);
    this.readout.announce(reason);
  }
}

async function start() {
  const engine = await Engine.load();
  const live = new Live(engine);
  byId("instrument").hidden = false;
  live.choose(live.modes[0]);
  return live;
}

const started = start().catch((error) => {
  byId("instrument").hidden = true;
  byId("fault").textContent = text("no_module", { reason: error.message });
  byId("fault").hidden = false;
  return null;
});

// For who wants to look inside, in the browser's console or in a test: the C, called on arrays of their own.
window.niwakiLive = Object.freeze({
  ready: started.then((live) => live !== null),
  // Int8 scores of raw pixels, channels first, with the padding.
  scores: async (pixels) => (await started).engine.scores(Uint8Array.from(pixels)),
  // What vision finds in a grey frame, after it has learned the empty scene from `scenes`, grey frames of that size.
  find: async (grey, width, height, scenes = []) => {
    const eye = (await started).newEye();
    for (const scene of scenes) eye.learn(Uint8Array.from(scene), width, height);
    return eye.find(Uint8Array.from(grey), width, height);
  },
  // What the preprocessing makes of an image without vision, before the padding.
  prepared: async (image) => prepared(image),
});
