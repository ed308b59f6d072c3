// Labelled regions `{ label, color, polygons, area }` of a photograph, as COCO. No element of the page is touched here.
const COLORS = ["#0d9488", "#db2777", "#65a30d", "#4f46e5", "#b45309", "#64748b"];

/** The regions that the model found, one for each outline: its answer has all outlines of a class in one. */
export function foundBy({ categories, annotations }) {
  const names = new Map(categories.map(({ id, name }) => [id, name]));
  return annotations.flatMap(({ category_id, color, segmentation }) => segmentation.map((polygon) => (
    { label: names.get(category_id), color, polygons: [polygon], area: areaOf(polygon), found: true })));
}

/** The colour of a label: the model's, or that of the first, second, … label that the model does not know. */
export function colorOf(label, { labels, colors }, regions) {
  const others = [...new Set([...regions.map((region) => region.label), label])].filter((name) => !labels.includes(name));
  return labels.includes(label) ? colors[labels.indexOf(label)] : COLORS[others.indexOf(label) % COLORS.length];
}

/** Pixels inside a polygon that runs along their borders. */
function areaOf(polygon) {
  let twice = 0;
  for (let at = 0; at < polygon.length; at += 2) {
    const [x, y, nextX, nextY] = [0, 1, 2, 3].map((step) => polygon[(at + step) % polygon.length]);
    twice += x * nextY - nextX * y;
  }
  return Math.round(Math.abs(twice) / 2);
}

function boxOf(polygons) {
  const [x, y] = [0, 1].map((axis) => polygons.flatMap((polygon) => polygon.filter((_, at) => at % 2 === axis)));
  const edge = (pick, values) => values.reduce((one, other) => pick(one, other));
  const [left, top] = [edge(Math.min, x), edge(Math.min, y)];
  return [left, top, edge(Math.max, x) - left, edge(Math.max, y) - top];
}

/** A document with one photograph. Labels that are no category yet become the next ones. */
export function cocoOf(image, categories, regions) {
  const ids = new Map(categories.map(({ id, name }) => [name, id]));
  const all = [...categories];
  for (const { label, color } of regions) {
    if (ids.has(label)) continue;
    ids.set(label, Math.max(0, ...ids.values()) + 1);
    all.push({ id: ids.get(label), name: label, supercategory: "", color });
  }
  return { images: [{ id: 1, ...image }], categories: all, annotations: regions.map(({ label, color, polygons, area }, at) => (
    { id: at + 1, image_id: 1, category_id: ids.get(label), segmentation: polygons, area, bbox: boxOf(polygons), iscrowd: 0, isbbox: false, color, metadata: {} })) };
}
