// A document small enough to read: what the painter uses, and nothing that could parse HTML.

class Base {
  parentNode = null;
  remove() {
    const kids = this.parentNode?.childNodes;
    if (kids) kids.splice(kids.indexOf(this), 1);
    this.parentNode = null;
  }
}

class Text extends Base {
  constructor(data) {
    super();
    this.data = data;
  }
  get length() {
    return this.data.length;
  }
  appendData(more) {
    this.data += more;
  }
  deleteData(at, n) {
    this.data = this.data.slice(0, at) + this.data.slice(at + n);
  }
}

class Element extends Base {
  constructor(doc, tag) {
    super();
    this.ownerDocument = doc;
    this.tag = tag;
    this.tagName = tag.toUpperCase();
    this.childNodes = [];
    this.attributes = {};
    this.style = {};
    this.classes = new Set();
    this.listeners = [];
    this.classList = { add: (c) => this.classes.add(c), remove: (c) => this.classes.delete(c) };
  }
  get className() {
    return [...this.classes].join(" ");
  }
  set className(value) {
    this.classes = new Set(value.split(" ").filter(Boolean));
    this.classList = { add: (c) => this.classes.add(c), remove: (c) => this.classes.delete(c) };
  }
  get firstChild() {
    return this.childNodes[0] ?? null;
  }
  get children() {
    return this.childNodes.filter((node) => node instanceof Element);
  }
  appendChild(node) {
    node.remove();
    node.parentNode = this;
    this.childNodes.push(node);
    return node;
  }
  append(...nodes) {
    for (const node of nodes) this.appendChild(node);
  }
  replaceChild(node, old) {
    node.parentNode = this;
    this.childNodes[this.childNodes.indexOf(old)] = node;
    old.parentNode = null;
  }
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  getAttribute(name) {
    return this.attributes[name] ?? null;
  }
  removeAttribute(name) {
    delete this.attributes[name];
  }
  addEventListener(type, listener) {
    this.listeners.push([type, listener]);
  }
  fire(type, event) {
    for (const [wanted, listener] of this.listeners) if (wanted === type) listener(event);
  }
  set textContent(text) {
    this.childNodes = [];
    this.appendChild(new Text(text));
  }
  get textContent() {
    return this.childNodes.map((node) => (node instanceof Text ? node.data : node.textContent)).join("");
  }
}

export const doc = { createElement: (tag) => new Element(doc, tag), createTextNode: (text) => new Text(text) };

/** Readable HTML of what was painted; the spans that hold pieces of text, and the boxes of tables, are left out. */
export function html(node) {
  if (node instanceof Text) return node.data.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const inner = node.childNodes.map(html).join("");
  if (node.tag === "root" || (node.tag === "span" && !node.className) || node.className === "amber-wide") return inner;
  const attributes = { ...node.attributes };
  delete attributes.dir;
  if (node.className) attributes.class = node.className;
  if (node.style.textAlign) attributes.style = `text-align:${node.style.textAlign}`;
  for (const name of ["target", "rel", "title"]) delete attributes[name];
  const words = Object.entries(attributes).map(([k, v]) => ` ${k}="${v}"`).join("");
  return node.tag === "hr" || node.tag === "br" ? `<${node.tag}>` : `<${node.tag}${words}>${inner}</${node.tag}>`;
}
