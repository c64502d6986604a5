// The theme that the user chose, before anything is painted: no flash of the other one.
try {
  const chosen = localStorage.getItem("docmill-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Without storage the system's theme is taken.
}
