// Regions, boxes and clicks, drawn in an SVG over a picture in pixels of the whole photograph.
const SVG = "http://www.w3.org/2000/svg";

/** Lay an SVG over a picture of a photograph of width × height pixels, and draw all of it anew. */
export function drawOver(picture, layer, { width, height }, { regions, boxes, clicks, opacity }) {
  const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = picture;
  Object.assign(layer.style, { left: `${offsetLeft}px`, top: `${offsetTop}px`, width: `${offsetWidth}px`, height: `${offsetHeight}px`, fillOpacity: opacity });
  layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const pixel = width / Math.max(1, offsetWidth); // of the screen, in pixels of the photograph
  layer.replaceChildren(
    ...regions.map(({ polygons, color, kind }) => shape("path", { d: polygons.map((polygon) => `M${polygon.join(" ")}Z`).join(""), fill: color, stroke: color, class: kind })),
    ...boxes.map(([x, y, right, bottom]) => shape("rect", { x, y, width: right - x, height: bottom - y })),
    ...clicks.flatMap(({ at: [x, y], positive }) => dot(x + 0.5, y + 0.5, positive, pixel)));
}

/** A click: a disc with its sign, as large on the screen whatever the size of the photograph. */
function dot(cx, cy, positive, pixel) {
  const sign = `M${cx - 4 * pixel} ${cy}h${8 * pixel}${positive ? `M${cx} ${cy - 4 * pixel}v${8 * pixel}` : ""}`;
  return [shape("circle", { cx, cy, r: 8 * pixel, class: positive ? "dot" : "dot negative" }), shape("path", { d: sign, class: "sign" })];
}

function shape(name, values) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) found.setAttribute(key, value);
  return found;
}
