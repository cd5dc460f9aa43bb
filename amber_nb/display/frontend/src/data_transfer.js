// @ts-check
/** What was chosen, dropped or pasted: files, or a link, or nothing for us. Pure: no DOM. */

/** @typedef {{ name: string, file: File | null }} Thing a file, or a link that is all name */

const LINK = /^https?:\/\/[^\s<>"]+$/i;

/**
 * @param {DataTransfer | null} data
 * @returns {Thing[]}
 */
export function taken(data) {
  if (!data || data.files.length) return ofFiles(data?.files);
  const lines = `${data.getData("text/uri-list")}\n${data.getData("text/plain")}`.split("\n");
  const name = lines.map((line) => line.trim()).find((line) => LINK.test(line));
  return name ? [{ name, file: null }] : [];
}

/**
 * @param {Iterable<File> | null | undefined} files
 * @returns {Thing[]}
 */
export function ofFiles(files) {
  return Array.from(files ?? [], (file) => ({ name: file.name, file }));
}

/**
 * Pictures from the clipboard have one name, and it says nothing.
 * @param {string} name
 * @param {number} number how many came before
 */
export function pastedName(name, number) {
  return name.replace(/^image(?=\.\w+$)/, number ? `pasted image ${number + 1}` : "pasted image");
}

/**
 * Why a file need not be looked at; empty if it may be an image.
 * @param {Thing} thing
 */
export function refusal({ file }) {
  if (!file) return "";
  if (!file.size) return "the file is empty";
  // Of some formats browsers do not know the type: then the kernel has to look.
  return !file.type || file.type.startsWith("image/") ? "" : "not an image";
}

/**
 * What to say of those that are too many.
 * @param {string[]} names
 * @param {number} most
 */
export function surplus(names, most) {
  const left = names.length > 1 ? `${names[0]} and ${names.length - 1} more were` : `${names[0]} was`;
  return `${left} left out: at most ${most} ${most === 1 ? "image is" : "images are"} taken`;
}
