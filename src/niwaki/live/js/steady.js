// When a film's class is named: scores averaged over a second, the same class for a while, each but once.
const WINDOW_MS = 1000;
const STABLE_MS = 600;
const EMPTY_MS = 500;

class Steady {
  constructor() {
    this.reset();
  }

  reset() {
    this.frames = [];
    this.candidate = this.named = null;
    this.since = this.seen = 0;
  }

  // Takes in the scores of one frame, null where nothing was found. Returns the mean scores of the last second, null
  // where nothing was found in it, their class, and whether it is now to be said aloud.
  step(now, scores) {
    this.frames = this.frames.filter((frame) => now - frame.time < WINDOW_MS);
    if (scores) {
      this.frames.push({ time: now, scores });
      this.seen = now;
    } else if (now - this.seen >= EMPTY_MS) {
      this.reset();
    }
    const count = this.frames.length;
    if (!count) return { mean: null, word: null, say: false };
    const mean = data.classes.map((_, index) => this.frames.reduce((sum, frame) => sum + frame.scores[index], 0) / count);
    const word = bestOf(mean);
    if (word !== this.candidate) [this.candidate, this.since] = [word, now];
    const say = word !== this.named && now - this.since >= STABLE_MS;
    if (say) this.named = word;
    return { mean, word, say };
  }
}
