// @ts-check
/** An image file made small enough to travel, in the browser; small ones stay as they are, to the byte. */

const HEAVY = 4_000_000; // bytes of an image that is encoded again, whatever its pixels
const HEAVIEST = 40_000_000; // of one that cannot be read here, and is sent as it is
const QUALITY = 0.92;

/**
 * @param {Document} doc
 * @param {File} file
 * @param {number} most pixels on a side
 * @returns {Promise<{ blob: Blob, before: [number, number] | null }>} what is sent, and its pixels before it was shrunk
 */
export async function shrink(doc, file, most) {
  if (!file.size) throw new Error("the file is empty");
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => null);
  if (!bitmap) {
    if (file.size > HEAVIEST) throw new Error("this browser cannot read it, and it is too large to be sent as it is");
    return { blob: file, before: null }; // the kernel knows more formats
  }
  const { width, height } = bitmap;
  const scale = Math.min(1, most / Math.max(width, height));
  if (scale === 1 && file.size <= HEAVY) {
    bitmap.close(); // its memory is free now, not some time; there is never more than one
    return { blob: file, before: null };
  }
  const png = file.type === "image/png";
  const [w, h] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = draw(doc, bitmap, w, h, png);
  let blob = await encode(canvas, png ? "image/png" : "image/jpeg");
  if (png && blob.size > HEAVY) blob = await encode(canvas, "image/webp");
  canvas.width = 0; // this memory, too
  return scale === 1 && blob.size >= file.size ? { blob: file, before: null } : { blob, before: [width, height] };
}

/**
 * @param {Document} doc
 * @param {ImageBitmap} bitmap is closed
 * @param {number} width
 * @param {number} height
 * @param {boolean} clear what is transparent stays so; else it becomes white
 */
function draw(doc, bitmap, width, height, clear) {
  /** @type {ImageBitmap | HTMLCanvasElement} */
  let from = bitmap;
  // By halves: browsers that look at four pixels only would leave out most of a large photo.
  for (let halves = Math.max(0, Math.floor(Math.log2(bitmap.width / width))); ; halves--) {
    const canvas = doc.createElement("canvas");
    canvas.width = width * 2 ** halves;
    canvas.height = height * 2 ** halves;
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error("this browser has no room to shrink it");
    if (!clear) {
      pen.fillStyle = "#fff";
      pen.fillRect(0, 0, canvas.width, canvas.height);
    }
    pen.imageSmoothingQuality = "high";
    pen.drawImage(from, 0, 0, canvas.width, canvas.height);
    if ("close" in from) from.close();
    else from.width = 0;
    from = canvas;
    if (!halves) return canvas;
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {string} type
 * @returns {Promise<Blob>}
 */
function encode(canvas, type) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("it could not be shrunk"))), type, QUALITY);
  });
}
