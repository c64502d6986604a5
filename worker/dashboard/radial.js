// Where the neighbours of a concept stand around it. Pure.

/** The picture's size in its own units; the middle is 0, 0. */
export const SIZE = { width: 720, height: 460 };
/** Neighbours of the inner ring; more stand on the outer. */
const INNER_MAX = 9;

/** For each neighbour, in their order, `{x, y, side, weight}`: the strongest at the top and then clockwise. */
export function around(neighbours) {
  const most = Math.max(1, ...neighbours.map((neighbour) => neighbour.chunks));
  const inner = neighbours.length <= INNER_MAX + 3 ? neighbours.length : INNER_MAX;
  return neighbours.map((neighbour, at) => {
    const isInner = at < inner;
    const ring = isInner ? inner : neighbours.length - inner;
    const place = isInner ? at : at - inner;
    // The outer ring is turned by half a step, so that its names stand in the gaps of the inner one.
    const angle = -Math.PI / 2 + ((place + (isInner ? 0 : 0.5)) * 2 * Math.PI) / ring;
    const reach = isInner && ring !== neighbours.length ? 0.56 : isInner ? 0.78 : 1;
    const x = Math.cos(angle) * reach * (SIZE.width / 2 - 96);
    const y = Math.sin(angle) * reach * (SIZE.height / 2 - 34);
    const side = Math.abs(Math.cos(angle)) < 0.2 ? "middle" : x > 0 ? "start" : "end";
    return { x, y, side, weight: Math.sqrt(neighbour.chunks / most) };
  });
}

/** The neighbour that lies most in the direction of a key as seen from another; −1 where none does. */
export function towards(points, from, key) {
  const [dx, dy] = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[key] ?? [0, 0];
  const origin = points[from] ?? { x: 0, y: 0 };
  let best = -1;
  let least = Infinity;
  points.forEach((point, at) => {
    const [x, y] = [point.x - origin.x, point.y - origin.y];
    const ahead = x * dx + y * dy;
    if (at === from || ahead <= 0) return;
    const aside = Math.abs(x * dy) + Math.abs(y * dx);
    const far = ahead + 2 * aside;
    if (far < least) [best, least] = [at, far];
  });
  return best;
}
