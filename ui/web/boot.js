// Runs before the first paint: sets the theme, so that nothing flashes, then loads the page. Script and module are
// fetched side by side.
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
  var module = fetch("{{MODULE}}");
  import("{{SCRIPT}}")
    .then(function (page) {
      return page.default({ module_or_path: module });
    })
    .catch(function (error) {
      var note = document.createElement("p");
      note.className = "broken";
      note.setAttribute("role", "alert");
      note.textContent = "The page could not be started: " + error + ". Reload to try again.";
      document.body.append(note);
    });
})();
