// Draws every chart of the page, and again where the width asks for another layout.
(() => {
  "use strict";
  const PANEL = 240; // least width of one of several panels
  const PHONE = 640; // below this width a group of more rows than SHORT is folded
  const SHORT = 10;
  const NAMES = 0.42; // of the width, at most, for names along the left
  const SYMBOL = 20; // before a name in a legend

  // `room`: what is left for a legend, which begins where names along the left end.
  function fitted(spec, width, room = width) {
    const legend = spec.config.legend;
    legend.columns = Math.max(1, Math.floor(room / spec.usermeta.key));
    if (room < width) legend.labelLimit = Math.min(legend.labelLimit, room - SYMBOL);
    const axis = spec.config.axisY;
    axis.labelLimit = Math.min(axis.labelLimit, Math.floor(width * NAMES));
    if (spec.concat) {
      const axes = spec.usermeta.axes; // what a panel needs in addition to its own width
      const least = PANEL + axes - 64;
      spec.columns = Math.max(1, Math.min(spec.concat.length, Math.floor(width / least)));
      for (const panel of spec.concat) {
        panel.width = Math.floor(width / spec.columns) - axes;
        if (panel.title) panel.title.limit = panel.width + axes - 16;
      }
    }
    return spec;
  }

  async function embed(box, room) {
    const spec = JSON.parse(document.getElementById(box.dataset.spec).textContent);
    const drawn = await window.vegaEmbed(box, fitted(spec, box.clientWidth, room), {
      actions: false,
      mode: "vega-lite", // otherwise a concatenation without a schema counts as Vega
      ast: true, // interpret expressions: the page allows no code but its own
      renderer: "svg",
    });
    if (box.view) box.view.finalize();
    box.view = drawn.view;
  }

  // The room of a legend that is cut off; undefined if none is.
  function cut(box) {
    const end = box.querySelector("svg").getBoundingClientRect().right;
    for (const legend of box.querySelectorAll(".role-legend")) {
      const { left, right } = legend.getBoundingClientRect();
      if (right > end + 1) return end - left;
    }
  }

  async function draw(box) {
    box.dataset.width = box.clientWidth;
    try {
      await embed(box);
      const room = cut(box);
      if (room) await embed(box, room);
      // The box describes the chart in words; hundreds of unnamed marks would only get in the way.
      box.querySelector("svg").setAttribute("aria-hidden", "true");
      box.dataset.drawn = "yes";
      await pictured(box);
    } catch (error) {
      box.dataset.drawn = "failed";
      box.textContent = "This chart could not be drawn (" + error.message + "). Its data are below.";
      console.error(box.dataset.name, error);
    }
  }

  async function pictured(box) {
    const link = box.closest("figure").querySelector("a.picture");
    link.href = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(await box.view.toSVG());
    link.hidden = false;
  }

  const boxes = [...document.querySelectorAll(".chart")];
  let ready = Promise.all(boxes.map(draw));
  ready.then(() => (document.documentElement.dataset.ready = "yes"));

  for (const list of document.querySelectorAll(".listing")) {
    const narrow = list.clientWidth < PHONE;
    const groups = [...list.querySelectorAll("details")].map((box) => ({
      box,
      open: (box.open &&= !narrow || box.querySelectorAll("tbody tr").length <= SHORT),
      rows: [...box.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]),
    }));
    const found = list.querySelector(".found");
    list.querySelector(".search").hidden = false;
    list.querySelector("input").addEventListener("input", (event) => {
      const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const group of groups) {
        let own = 0;
        for (const [row, text] of group.rows) {
          row.hidden = !words.every((word) => text.includes(word));
          own += !row.hidden;
        }
        group.box.hidden = !own;
        group.box.open = words.length ? own > 0 : group.open;
        count += own;
      }
      found.textContent = words.length ? count + " found" : "";
    });
  }

  let waiting;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      const changed = boxes.filter((box) => Number(box.dataset.width) !== box.clientWidth);
      ready = ready.then(() => Promise.all(changed.map(draw)));
    }, 150);
  });
})();
