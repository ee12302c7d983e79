(() => {
  "use strict";
  const root = document.documentElement;
  const tip = document.getElementById("tip");
  const spoken = document.getElementById("spoken");
  const csv = JSON.parse(document.getElementById("csv-data").textContent);

  // Light and dark: the system's choice until the reader makes one.
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const remembered = (value) => {
    try {
      if (value) localStorage.setItem("niwaki-theme", value);
      return localStorage.getItem("niwaki-theme");
    } catch { return null; }
  };
  const theme = document.getElementById("theme");
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    remembered(root.dataset.theme);
  });

  // Values of the mark nearest to the pointer, or of the one that the arrow keys have come to.
  const REACH = 32;
  let shown = null;
  const marks = new Map();
  const marksOf = (plot) => {
    if (!marks.has(plot)) {
      const found = [...plot.querySelectorAll(".pt")].map((node) => ({ node, x: +node.dataset.x, y: +node.dataset.y }));
      marks.set(plot, found);
    }
    return marks.get(plot);
  };
  const hide = () => {
    if (shown) shown.node.classList.remove("here");
    shown = null;
    tip.hidden = true;
  };
  const show = (plot, mark) => {
    hide();
    shown = mark;
    mark.node.classList.add("here");
    tip.textContent = mark.node.dataset.tip;
    tip.hidden = false;
    const box = plot.getBoundingClientRect();
    const scale = box.width / plot.viewBox.baseVal.width;
    const x = box.left + mark.x * scale, y = box.top + mark.y * scale;
    const size = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(x - size.width / 2, innerWidth - size.width - 6))}px`;
    tip.style.top = `${y - size.height - 14 < 4 ? y + 16 : y - size.height - 14}px`;
  };
  const nearest = (plot, event) => {
    const box = plot.getBoundingClientRect();
    const scale = box.width / plot.viewBox.baseVal.width;
    let best = null, least = REACH * REACH;
    for (const mark of marksOf(plot)) {
      const dx = box.left + mark.x * scale - event.clientX, dy = box.top + mark.y * scale - event.clientY;
      const away = dx * dx + dy * dy;
      if (away <= least) { least = away; best = mark; }
    }
    return best;
  };
  for (const plot of document.querySelectorAll(".plot")) {
    const point = (event) => {
      const mark = nearest(plot, event);
      if (mark) show(plot, mark); else hide();
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const found = marksOf(plot);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step || !found.length) return;
      event.preventDefault();
      const at = found.indexOf(shown);
      const next = found[at < 0 ? (step > 0 ? 0 : found.length - 1) : (at + step + found.length) % found.length];
      show(plot, next);
      spoken.textContent = next.node.dataset.tip.replaceAll("\n", ", ");
    });
  }
  addEventListener("scroll", hide, { passive: true });

  // Saving: from what is in the page.
  const save = (name, type, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const PAINT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity",
    "font-family", "font-size", "font-weight", "text-anchor"];
  const painted = (node) => {
    const copy = node.cloneNode(true);
    const before = [node, ...node.querySelectorAll("*")], after = [copy, ...copy.querySelectorAll("*")];
    before.forEach((one, index) => {
      if (["title", "desc"].includes(one.tagName)) return;
      const style = getComputedStyle(one);
      for (const name of PAINT) {
        const value = style.getPropertyValue(name);
        if (value) after[index].setAttribute(name, value);
      }
      for (const name of ["class", "tabindex", "data-x", "data-y"]) after[index].removeAttribute(name);
      const said = after[index].getAttribute("data-tip");
      if (said !== null) {
        after[index].removeAttribute("data-tip");
        const title = document.createElementNS(SVG, "title");
        title.textContent = said;
        after[index].prepend(title);
      }
    });
    return copy;
  };
  const SVG = "http://www.w3.org/2000/svg";
  const element = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };
  const whole = (figure) => {
    const theme = root.dataset.theme;
    root.dataset.theme = "light"; // files are for paper
    const ink = getComputedStyle(root);
    const font = { "font-family": "sans-serif", fill: ink.getPropertyValue("--fg").trim() };
    const plots = [...figure.querySelectorAll(".plot")].filter((plot) => plot.getClientRects().length);
    const entries = [...figure.querySelectorAll(".legend li")];
    const columns = Math.min(plots.length, 3), gap = 24;
    const wide = Math.max(...plots.map((plot) => plot.viewBox.baseVal.width));
    const out = element("svg", { xmlns: SVG });
    const heading = figure.querySelector("figcaption p").textContent.trim().replace(/\s+/g, " ");
    const width = Math.max(columns * wide + (columns - 1) * gap, 320) + 2 * gap;
    out.append(element("rect", { width: "100%", height: "100%", fill: ink.getPropertyValue("--bg").trim() }));
    let y = gap;
    const fits = Math.floor((width - 2 * gap) / 6.6);
    for (let rest = heading; rest; ) {
      let cut = rest.length <= fits ? rest.length : rest.lastIndexOf(" ", fits);
      if (cut <= 0) cut = fits;
      out.append(element("text", { ...font, x: gap, y: y + 4, "font-size": 13 }, rest.slice(0, cut)));
      rest = rest.slice(cut).trim();
      y += 18;
    }
    for (const entry of entries) {
      const key = painted(entry.querySelector("svg"));
      key.setAttribute("x", gap);
      key.setAttribute("y", y - 4);
      out.append(key, element("text", { ...font, x: gap + 34, y: y + 7, "font-size": 12 }, entry.textContent.trim()));
      y += 20;
    }
    y += 8;
    const named = plots.map((plot) => plot.closest(".panel").querySelector(".panel-title"));
    for (let start = 0; start < plots.length; start += columns) {
      let tallest = 0;
      plots.slice(start, start + columns).forEach((plot, index) => {
        const { width: w, height: h } = plot.viewBox.baseVal;
        const x = gap + index * (wide + gap), title = named[start + index];
        if (title) out.append(element("text", { ...font, x, y: y + 10, "font-size": 13, "font-weight": 600 }, title.textContent));
        const copy = painted(plot);
        for (const [key, value] of Object.entries({ x, y: y + (title ? 18 : 0), width: w, height: h })) copy.setAttribute(key, value);
        out.append(copy);
        tallest = Math.max(tallest, h + (title ? 18 : 0));
      });
      y += tallest + gap;
    }
    out.setAttribute("viewBox", `0 0 ${width} ${y}`);
    out.setAttribute("width", width);
    out.setAttribute("height", y);
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    return new XMLSerializer().serializeToString(out);
  };
  for (const button of document.querySelectorAll("[data-save]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const id = button.dataset.of;
      if (button.dataset.save === "csv") save(`${id}.csv`, "text/csv;charset=utf-8", "\ufeff" + csv[id]);
      else save(`${id}.svg`, "image/svg+xml", whole(document.getElementById(id)));
    });
  }

  // Copying a table: its figures as CSV, or what is seen of it as Markdown.
  const markdown = (table) => {
    const lines = [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/[\\|]/g, "\\$&")));
    const marks = [...table.rows[0].cells].map((cell) => cell.classList.contains("left") ? "---" : "---:");
    return [lines[0], marks, ...lines.slice(1)].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
  };
  const byHand = (text) => { // where a browser gives a page no clipboard
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return byHand(text);
    }
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    const name = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const id = button.dataset.of;
      const done = await copy(button.dataset.copy === "csv" ? csv[id] : markdown(document.querySelector(`#${CSS.escape(id)} table`)));
      spoken.textContent = done ? spoken.dataset.copied : spoken.dataset.refused;
      button.textContent = spoken.textContent;
      button.focus();
      setTimeout(() => { button.textContent = name; spoken.textContent = ""; }, 2000);
    });
  }

  // On paper nothing is folded but the settings.
  const folded = [];
  addEventListener("beforeprint", () => {
    folded.push(...document.querySelectorAll(".table details:not([open])"));
    for (const details of folded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of folded.splice(0)) details.open = false;
  });

  // Where the reader is.
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const sections = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
  const list = document.querySelector(".contents ol");
  const here = () => {
    const current = sections.filter((one) => one.getBoundingClientRect().top < innerHeight / 3).pop();
    for (const [id, link] of links) {
      if (!current || current.id !== id) { link.removeAttribute("aria-current"); continue; }
      if (link.hasAttribute("aria-current")) continue;
      link.setAttribute("aria-current", "true");
      list.scrollTo({ left: link.offsetLeft - 24 });
    }
  };
  addEventListener("scroll", () => requestAnimationFrame(here), { passive: true });
  here();
})();
