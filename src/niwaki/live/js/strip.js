// Test images to click on.
class Strip {
  constructor(live) {
    const { pixels, labels, places } = data.strip;
    const bytes = bytesOf(pixels);
    const size = bytes.length / labels.length;
    const items = labels.map((label, index) => {
      const picture = bytes.slice(index * size, (index + 1) * size);
      return this.item({ live, picture, label, place: places[index] });
    });
    byId("strip").append(...items);
    byId("strip").addEventListener("keydown", (event) => this.move(event));
  }

  item({ live, picture, label, place }) {
    const [item, button, canvas] = [element("li"), element("button"), element("canvas")];
    const wrong = bestOf(live.scores(picture)) !== label;
    button.type = "button";
    button.classList.toggle("live-wrong", wrong);
    button.setAttribute("aria-pressed", "false");
    const name = text(wrong ? "strip_wrong" : "strip_image", { place: rounded(place), label: nameOf(label) });
    button.setAttribute("aria-label", name);
    button.title = name;
    draw(canvas, picture);
    button.addEventListener("click", () => {
      for (const other of byId("strip").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
      live.show({ picture, truth: label });
    });
    button.append(canvas);
    item.append(button);
    return item;
  }

  // Shows the image that was chosen last, at first the first.
  enter() {
    const buttons = byId("strip");
    (buttons.querySelector("[aria-pressed=true]") || buttons.querySelector("button")).click();
  }

  // Arrow keys go from image to image; Tab leads out of the strip after each as usual.
  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const buttons = [...byId("strip").querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length].focus();
  }
}
