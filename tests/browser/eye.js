// What an eye sees of the page: every text with its size, its capital's height, its colours and its place.
// Nothing of the page's own script is used: it is what is measured.
const capitals = new Map();
function capital(style) {
  const font = `${style.fontStyle} ${style.fontWeight} 200px ${style.fontFamily}`;
  if (!capitals.has(font)) {
    const context = document.createElement("canvas").getContext("2d");
    context.font = font;
    capitals.set(font, context.measureText("H").actualBoundingBoxAscent / 200);
  }
  return capitals.get(font);
}
const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
function ground(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = rgb(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour.slice(0, 3);
  }
  return [255, 255, 255];
}
function opacity(element) {
  let share = 1;
  for (let at = element; at; at = at.parentElement) share *= Number(getComputedStyle(at).opacity);
  return share;
}
const seen = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  const element = node.parentElement;
  const text = node.data.trim();
  if (!text || element.closest("script, noscript, option, .spoken") || !element.checkVisibility()) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  const box = range.getBoundingClientRect();
  if (box.width === 0) continue;
  const style = getComputedStyle(element);
  // A line's box is higher than its letters: from the capitals' top to their foot, and a little below for Q.
  const height = parseFloat(style.fontSize) * capital(style);
  const middle = (box.top + box.bottom) / 2;
  const [top, foot] = box.height > 1.6 * parseFloat(style.fontSize) ? [box.top, box.bottom] : [middle - height / 2, middle + height * 0.6];
  const within = element.closest("button, .plate span, #card > *, #chips, header > *, .camera, #banner");
  const outer = within ? within.getBoundingClientRect() : null;
  const clipped = Boolean(outer) && (box.left < outer.left - 1 || box.right > outer.right + 1 || top < outer.top - 2 || foot > outer.bottom + 2);
  const outside = box.left < -1 || top < -1 || box.right > innerWidth + 1 || foot > innerHeight + 1;
  const at = element.closest("[id]");
  seen.push({
    text: text.slice(0, 60), id: at ? at.id : "", px: parseFloat(style.fontSize), capital: parseFloat(style.fontSize) * capital(style),
    ink: rgb(style.color).slice(0, 3), ground: ground(element), opacity: opacity(element), clipped, outside,
    main: Boolean(element.closest("#read, #listed, #category, #priority, #standing, #beware, #caution")) && element.tagName !== "SMALL",
    onCard: Boolean(element.closest("#card")), plate: Boolean(element.closest("#read, #listed")),
  });
}
const scrolls = [...document.querySelectorAll("html, body, #card, #card *, header")]
  .filter((one) => one.checkVisibility() && !one.closest("figure, .plate span") && getComputedStyle(one).display !== "inline" && (one.scrollHeight > one.clientHeight + Math.max(2, parseFloat(getComputedStyle(one).fontSize) * 0.2) || one.scrollWidth > one.clientWidth + 2) && one.clientHeight > 0)
  .map((one) => `${one.tagName}#${one.id}.${one.className} ${one.scrollWidth}x${one.scrollHeight} in ${one.clientWidth}x${one.clientHeight}`);
const shown = ["picture", "context"].map((id) => document.getElementById(id)).filter((image) => image && image.checkVisibility() && image.naturalWidth > 0 && getComputedStyle(image).objectFit !== "contain");
const box = (one) => { const r = one.getBoundingClientRect(); return [r.width, r.height]; };
const pictures = shown.map((image) => ({ id: image.id, natural: [image.naturalWidth, image.naturalHeight], drawn: box(image), frame: box(image.closest("figure")) }));
return { seen, scrolls, pictures };
