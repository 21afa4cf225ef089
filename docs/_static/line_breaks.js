// Names may break after a bracket, a comma, an equals sign, an underscore or a hump. Titles do so by
// themselves, tables where they would not fit (see stacked_tables.js). A formula keeps the sign that
// follows it.
window.breakNames = (element) => {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    if (!texts.currentNode.parentElement.closest("math")) found.push(texts.currentNode);
  }
  for (const text of found) {
    const parts = text.data.split(/(?<=\w[(,=_]|[a-z]\.)(?=[^\s)])|(?<=[a-z])(?=[A-Z])/);
    const between = (part, i) => (i ? [document.createElement("wbr"), part] : [part]);
    if (parts.length > 1) text.replaceWith(...parts.flatMap(between));
  }
};

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".bd-article :is(h1, h2, h3)").forEach(window.breakNames);
  for (const math of document.querySelectorAll(".bd-article :not(div) > math")) {
    const last = math.parentElement.matches("a, strong, em") ? math.parentElement : math;
    const next = last.nextSibling;
    const sign = next?.nodeType === Node.TEXT_NODE && /^[.,:;)]+/.exec(next.data);
    if (!sign) continue;
    const whole = document.createElement("span");
    whole.style.whiteSpace = "nowrap";
    last.replaceWith(whole);
    whole.append(last, sign[0]);
    next.data = next.data.slice(sign[0].length);
  }
});
