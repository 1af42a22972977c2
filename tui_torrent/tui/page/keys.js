// Keys go to the terminal, without a click on it first.
for (const event of ["load", "focus"]) {
  window.addEventListener(event, () => document.querySelector(".xterm-helper-textarea")?.focus());
}
