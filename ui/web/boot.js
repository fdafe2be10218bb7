// Runs before the first paint: sets the theme, so that nothing flashes, then loads the page.
(function () {
  var theme = null;
  try {
    theme = localStorage.getItem("loopscope-theme");
  } catch (error) {
    // Without storage the system decides.
  }
  if (theme !== "dark" && theme !== "light") {
    theme = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  }
  document.documentElement.dataset.theme = theme;
  import("{{SCRIPT}}")
    .then(function (page) {
      return page.default({ module_or_path: "{{MODULE}}" });
    })
    .catch(function (error) {
      var note = document.createElement("p");
      note.className = "broken";
      note.setAttribute("role", "alert");
      note.textContent = "The page could not be started: " + error + ". Reload to try again.";
      document.body.append(note);
    });
})();
