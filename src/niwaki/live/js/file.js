// The user's own picture: dropped, pasted or chosen.
class FileInput {
  constructor(live) {
    this.live = live;
    this.eye = live.newEye();
    byId("file").addEventListener("change", () => {
      this.open(byId("file").files[0]);
      byId("file").value = "";
    });
    const instrument = byId("instrument");
    instrument.addEventListener("dragover", (event) => this.hover(event, true));
    instrument.addEventListener("dragleave", (event) => this.hover(event, false));
    instrument.addEventListener("drop", (event) => {
      this.hover(event, false);
      this.open(event.dataTransfer.files[0]);
    });
    document.addEventListener("paste", (event) => {
      if (!byId("panel-picture").hidden && event.clipboardData) this.open(event.clipboardData.files[0]);
    });
  }

  hover(event, over) {
    event.preventDefault(); // else the browser opens the file in place of the page
    byId("drop").classList.toggle("live-over", over);
  }

  async open(file) {
    if (!file) return;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      this.live.choose("picture");
      byId("picture-remark").textContent = text("picture_bad", { name: file.name });
      return;
    }
    this.image = imageOf(bitmap, bitmap.width, bitmap.height, data.vision ? 640 : 2048);
    bitmap.close();
    byId("picture-remark").textContent = isOwnSize(this.image) ? text("picture_taken_as_is", { name: file.name }) : file.name;
    byId("invite").hidden = true;
    byId("picture").hidden = false;
    byId("drop").classList.add("live-full");
    this.live.choose("picture");
  }

  enter() {
    if (this.image) this.look();
    else this.live.empty(text("waiting"));
  }

  // Shows the picture, and again when it is to be looked at in another way.
  look() {
    const seen = this.live.see(this.image, isOwnSize(this.image) ? null : this.eye);
    drawFrame(byId("picture"), this.image, seen.finding);
    this.live.show(seen);
  }
}

// Draws a frame with the box of what was found in it.
function drawFrame(canvas, image, finding) {
  if (canvas.width !== image.width || canvas.height !== image.height) [canvas.width, canvas.height] = [image.width, image.height];
  const context = canvas.getContext("2d");
  context.putImageData(image, 0, 0);
  if (!finding || !finding.width) return;
  const line = Math.max(1, image.width / 200);
  const box = [finding.x, finding.y, finding.width, finding.height];
  context.setLineDash(finding.outcome === 0 ? [] : [4 * line, 3 * line]);
  for (const [style, width] of [["#000", 3 * line], ["#fff", line]]) {
    [context.strokeStyle, context.lineWidth] = [style, width];
    context.strokeRect(...box);
  }
}
