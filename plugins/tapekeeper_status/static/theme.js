// Light or dark, as Airflow shows itself around this page; alone in a tab, as Airflow was last set, else as the system.
"use strict";

(() => {
  const known = ["light", "dark"];

  function aroundUs() {
    try {
      const classes = window.parent.document.documentElement.classList;
      return window.parent === window ? undefined : known.find((theme) => classes.contains(theme));
    } catch {
      return undefined; // A frame of another origin does not tell.
    }
  }

  function remembered() {
    try {
      return known.find((theme) => theme === window.localStorage.getItem("theme"));
    } catch {
      return undefined;
    }
  }

  function apply() {
    const theme = aroundUs() ?? remembered();
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  apply();
  window.addEventListener("storage", apply);
  try {
    new MutationObserver(apply).observe(window.parent.document.documentElement, { attributeFilter: ["class"] });
  } catch {
    // A frame of another origin cannot be watched either.
  }
})();
