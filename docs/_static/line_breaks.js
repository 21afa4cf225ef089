// Long names may break after a bracket, a comma, an equals sign, an underscore or a hump. Titles do so
// by themselves, tables where they would not fit (see stacked_tables.js). A formula keeps the sign that
// follows it.
window.breakNames = (element) => {
  const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    if (!texts.currentNode.parentElement.closest("math")) found.push(texts.currentNode);
  }
  const places = /(?<=\w[(,=_]|[a-z]\.)(?=[^\s)])|(?<=[a-z])(?=[A-Z])/;
  const split = (word) => (word.length > 14 ? word.split(places) : [word]);
  for (const text of found) {
    const words = text.data.split(/(?<=\s)(?=\S)/);
    // A word ends with its space, so only the breaks within words need a sign.
    const parts = words.reduce((all, word) => {
      const [first, ...rest] = split(word);
      return [...all.slice(0, -1), (all.at(-1) ?? "") + first, ...rest];
    }, []);
    const between = (part, i) => (i ? [document.createElement("wbr"), part] : [part]);
    if (parts.length > 1) text.replaceWith(...parts.flatMap(between));
  }
};

document.addEventListener("DOMContentLoaded", () => {
  const titles = document.querySelectorAll(
    ".bd-article :is(h1, h2, h3, .sig-name), .prev-next-title"
  );
  titles.forEach(window.breakNames);
  for (const math of document.querySelectorAll(".bd-article :not(div) > math")) {
    const last = math.parentElement.childNodes.length === 1 ? math.parentElement : math;
    if (!last.matches("math, a, strong, em, span")) continue;
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
