// COCO's compressed RLE, and masks as pixels. No element of the page is touched here.

/** Run lengths of a COCO RLE string, background first (pycocotools, maskApi.c: rleFrString). */
export function runs(counts) {
  const found = [];
  for (let at = 0; at < counts.length;) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const piece = counts.charCodeAt(at++) - 48;
      value += (piece & 31) * 2 ** shift;
      shift += 5;
      more = (piece & 32) !== 0;
      if (!more && piece & 16) value -= 2 ** shift;
    }
    if (found.length > 2) value += found[found.length - 2];
    found.push(value);
  }
  return found;
}

/** Pixels that an RLE sets. */
export const area = (rle) => runs(rle.counts).reduce((sum, run, index) => sum + (index % 2 ? run : 0), 0);

/** An RLE as width × height bytes of 0 or 1, rows first; pixels are taken from the nearest place of the mask. */
export function bytes(rle, width, height) {
  const [fullHeight, fullWidth] = rle.size;
  const columns = new Uint8Array(fullHeight * fullWidth);
  let at = 0;
  runs(rle.counts).forEach((run, index) => {
    if (index % 2) columns.fill(1, at, at + run);
    at += run;
  });
  const found = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.min(fullHeight - 1, Math.floor(((y + 0.5) * fullHeight) / height));
    for (let x = 0; x < width; x++) {
      const column = Math.min(fullWidth - 1, Math.floor(((x + 0.5) * fullWidth) / width));
      found[y * width + x] = columns[column * fullHeight + row];
    }
  }
  return found;
}

/** A grey PNG in base64 as width × height bytes, smoothly enlarged. */
export async function grey(base64, width, height) {
  const blob = new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))], { type: "image/png" });
  const bitmap = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height).data;
  const found = new Uint8Array(width * height);
  for (let index = 0; index < found.length; index++) found[index] = pixels[4 * index];
  return found;
}

/** Bytes of at least a level as 0 or 1. */
export const above = (values, level) => values.map((value) => (value >= level ? 1 : 0));

/** The highest of several maps of bytes painted over RGBA pixels: clear at 0, over yellow to red at 255. */
export function paintHeat(pixels, maps, opacity) {
  for (let index = 0; index < pixels.length / 4; index++) {
    const heat = Math.max(0, ...maps.map((map) => map[index])) / 255;
    [255, 255 * (1 - heat), 0].forEach((color, channel) => {
      const place = 4 * index + channel;
      pixels[place] = pixels[place] * (1 - opacity * heat) + color * opacity * heat;
    });
  }
}

/** Masks painted over RGBA pixels in their colours, with an outline that is always opaque. */
export function paint(pixels, width, height, layers, opacity) {
  for (const { mask, rgb } of layers) {
    for (let y = 0, index = 0; y < height; y++) {
      for (let x = 0; x < width; x++, index++) {
        if (!mask[index]) continue;
        const edge = x === 0 || y === 0 || x === width - 1 || y === height - 1
          || !mask[index - 1] || !mask[index + 1] || !mask[index - width] || !mask[index + width];
        const part = edge ? 1 : opacity;
        for (let channel = 0; channel < 3; channel++) {
          const place = 4 * index + channel;
          pixels[place] = pixels[place] * (1 - part) + rgb[channel] * part;
        }
      }
    }
  }
}
