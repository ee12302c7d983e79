// The camera, when the browser grants it.
const LEARNED = 15; // frames of the empty scene
const PAUSE_MS = 40; // between frames: 25 a second are enough, and leave the device some rest
const REFUSALS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing", OverconstrainedError: "missing" };

class Camera {
  constructor(live) {
    this.live = live;
    this.eye = live.newEye();
    this.steady = new Steady();
    this.canvas = document.createElement("canvas");
    this.learning = 0;
    byId("camera-switch").addEventListener("click", () => (this.stream ? this.stop() : this.start()));
    byId("learn")?.addEventListener("click", () => this.learn());
    byId("forget")?.addEventListener("click", () => this.forget());
    document.addEventListener("visibilitychange", () => document.hidden && this.stop());
  }

  remark(key) {
    byId("camera-remark").textContent = key ? text(key) : "";
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) return this.remark("camera_none");
    if (this.asking) return undefined;
    this.asking = true;
    this.remark("camera_asking");
    const video = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: { ideal: "environment" } };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: false, video });
    } catch (error) {
      return this.remark(`camera_${REFUSALS[error.name] || "busy"}`);
    } finally {
      this.asking = false;
    }
    if (this.live.mode !== "camera") return this.release(); // granted after the reader had gone on
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("camera_lost"));
    byId("video").srcObject = this.stream;
    await byId("video").play();
    this.remark("");
    this.running(true);
    this.times = [];
    return this.next();
  }

  enter() {
    this.live.empty(text("waiting"));
  }

  release() {
    for (const track of this.stream.getTracks()) track.stop();
    this.stream = byId("video").srcObject = null;
  }

  stop(remark = "") {
    if (!this.stream) return;
    this.release();
    this.forget();
    this.running(false);
    byId("rate").textContent = "";
    this.remark(remark);
    this.live.empty(text("waiting"));
  }

  running(on) {
    byId("camera-switch").textContent = text(on ? "camera_stop" : "camera_start");
    if (byId("learn")) byId("learn").disabled = !on;
    if (!on) byId("camera").getContext("2d").clearRect(0, 0, byId("camera").width, byId("camera").height);
  }

  learn() {
    this.forget();
    this.learning = LEARNED;
    this.remark("camera_learning");
  }

  forget() {
    this.learning = 0;
    this.eye?.forget();
    this.steady.reset();
    if (byId("forget")) byId("forget").hidden = true;
    this.remark("");
  }

  next() {
    if (!this.stream) return;
    const start = performance.now();
    const video = byId("video");
    if (video.videoWidth) this.frame(imageOf(video, video.videoWidth, video.videoHeight, 640, this.canvas), start);
    setTimeout(() => requestAnimationFrame(() => this.next()), Math.max(0, PAUSE_MS - (performance.now() - start)));
  }

  frame(image, now) {
    if (this.eye?.width && image.width !== this.eye.width) this.forget(); // turned: another scene
    if (this.learning) {
      this.eye.learn(greyOf(image), image.width, image.height);
      this.learning -= 1;
      if (!this.learning) {
        this.remark("camera_learned");
        byId("forget").hidden = false;
      }
    }
    const seen = this.live.see(image, this.eye);
    drawFrame(byId("camera"), image, seen.finding);
    this.live.film(seen, this.steady.step(now, seen.scores));
    this.rate(now, seen.findTime);
  }

  // Pictures per second over the last 20, and how long finding takes.
  rate(now, findTime) {
    this.times = [...this.times, { now, findTime }].slice(-20);
    const span = now - this.times[0].now;
    if (this.times.length < 5 || this.times.length % 5) return;
    const rate = text("camera_rate", { rate: rounded((1000 * (this.times.length - 1)) / span) });
    const finding = findTime === null ? "" : ` · ${text("vision_time", { time: rounded(median(this.times.map((t) => t.findTime)), 1) })}`;
    byId("rate").textContent = rate + finding;
  }
}
