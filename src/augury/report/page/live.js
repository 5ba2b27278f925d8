// Asks the server whether the page has changed, and shows the new one.
(() => {
  "use strict";
  const EVERY = 2000; // milliseconds
  const seen = document.documentElement.dataset.version;
  setInterval(async () => {
    try {
      const now = await (await fetch("version", { cache: "no-store" })).text();
      if (now !== seen) location.reload();
    } catch {
      // The server has ended: the page stays as it is.
    }
  }, EVERY);
})();
