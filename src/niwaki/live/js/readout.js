// What is seen, the scores, the class in words, the time.
function sharesOf(scores) {
  const logits = Array.from(scores, (score) => (score - data.zero_point) * data.scale);
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

// The first of the highest, as the C's own program and NumPy have it.
const bestOf = (values) => values.indexOf(Math.max(...values));

class Readout {
  constructor(stopwatch) {
    this.stopwatch = stopwatch;
    this.rows = data.classes.map((_, index) => this.row(index));
    byId("scores").append(...this.rows.map((row) => row.line));
    draw(byId("seen"), new Uint8Array(data.input.channels * data.input.width * data.input.height));
  }

  row(index) {
    const [line, name, bar] = [element("tr"), element("th", "", nameOf(index)), element("td")];
    const [track, fill, share, score] = [element("div", "live-bar"), element("span"), element("td"), element("td")];
    name.scope = "row";
    track.append(fill);
    bar.append(track);
    line.append(name, bar, share, score);
    return { line, fill, share, score };
  }

  // Shows one picture and its scores.
  show({ picture, scores, truth = null }) {
    const [shares, best] = [sharesOf(scores), bestOf(scores)];
    draw(byId("seen"), picture);
    this.rows.forEach(({ line, fill, share, score }, index) => {
      fill.style.width = `${100 * shares[index]}%`;
      share.textContent = `${rounded(100 * shares[index])} %`;
      score.textContent = rounded(scores[index]).replace("-", "−");
      line.classList.toggle("live-first", index === best);
    });
    this.name(nameOf(best), true);
    const verdict = truth === best ? text("right") : text("wrong");
    byId("truth").textContent = truth === null ? "" : `${text("label", { label: nameOf(truth) })} – ${verdict}`;
  }

  // Shows that there is nothing to name, and why.
  empty(reason, picture = null) {
    draw(byId("seen"), picture || new Uint8Array(data.input.channels * data.input.width * data.input.height));
    for (const { line, fill, share, score } of this.rows) {
      fill.style.width = "0";
      share.textContent = score.textContent = "";
      line.classList.remove("live-first");
    }
    this.name(reason, false);
    byId("truth").textContent = "";
  }

  name(words, isClass) {
    const word = byId("word");
    if (word.textContent !== words) word.textContent = words;
    word.classList.toggle("live-empty", !isClass);
  }

  // Says to who listens to the page, not more often than is of use to them.
  announce(words) {
    const said = byId("said");
    if (said.textContent !== words) said.textContent = words;
  }

  announceClass(scores) {
    const index = bestOf(scores);
    this.announce(text("said", { name: nameOf(index), percent: rounded(100 * sharesOf(scores)[index]) }));
  }

  time(laps) {
    this.stopwatch.run(laps);
    const { microseconds, runs } = this.stopwatch;
    byId("time").textContent = text("microseconds", { time: rounded(microseconds, microseconds < 10 ? 1 : 0) });
    byId("time-hint").textContent = text("time_hint", { runs: rounded(runs) });
  }
}
