// Typeset what pymdownx.arithmatex has marked; also after a page was exchanged.
function typeset() {
  document.querySelectorAll(".arithmatex").forEach(function (element) {
    renderMathInElement(element, {
      delimiters: [
        { left: "\\[", right: "\\]", display: true },
        { left: "\\(", right: "\\)", display: false },
      ],
      throwOnError: true,
    });
  });
}
document.addEventListener("DOMContentLoaded", typeset);
