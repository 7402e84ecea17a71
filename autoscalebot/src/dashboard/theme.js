// Light or dark, settled before the first paint.
//
// This runs as a plain script in the head because a module would run after the first paint and the page would flash.
// It remembers one of "light" and "dark"; without a choice the system decides.
(() => {
  const KEY = "autoscalebot.theme";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  /** @returns {"light"|"dark"} */
  const chosen = () => {
    let saved = null;
    try {
      saved = localStorage.getItem(KEY);
    } catch {
      /* storage may be forbidden; then the system decides */
    }
    return saved === "light" || saved === "dark" ? saved : dark.matches ? "dark" : "light";
  };
  const apply = () => {
    document.documentElement.dataset.theme = chosen();
    dispatchEvent(new Event("themechange"));
  };
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const label = () => {
      const next = chosen() === "dark" ? "Light" : "Dark";
      button.textContent = next;
      button.setAttribute("aria-label", `${next} colours`);
    };
    button.addEventListener("click", () => {
      try {
        localStorage.setItem(KEY, chosen() === "dark" ? "light" : "dark");
      } catch {
        return;
      }
      apply();
    });
    addEventListener("themechange", label);
    label();
  });
  dark.addEventListener("change", apply);
  apply();
})();
