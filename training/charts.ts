import { type Drawing, encodePng, rasterise } from '../src/index.ts';

type Shape = Drawing['shapes'][number];

const BLUE = [31, 119, 180] as const;
const ORANGE = [214, 96, 20] as const;
const GREY = [200, 200, 200] as const;

export interface LogLine {
  readonly images: number;
  readonly loss: number;
  readonly accuracy: number;
}

const [WIDTH, HEIGHT, LEFT, TOP] = [640, 280, 60, 30];

/** The loss and the accuracy over the images seen. */
export function lossCurve(lines: readonly LogLine[], total: number): Promise<Uint8Array> {
  const highest = Math.max(...lines.map(({ loss }) => loss));
  const dot = (images: number, height: number, colour: readonly [number, number, number]): Shape => ({
    kind: 'rectangle',
    x: LEFT + Math.round(Math.min(1, images / total) * (WIDTH - 2)),
    y: TOP + Math.round((1 - Math.max(0, Math.min(1, height))) * (HEIGHT - 2)),
    width: 2,
    height: 2,
    colour: [...colour],
  });
  const text = (text: string, x: number, y: number, colour?: readonly [number, number, number]): Shape => ({
    kind: 'text',
    text,
    x,
    y,
    ...(colour && { colour: [...colour] as [number, number, number] }),
  });
  const shapes: Shape[] = [
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((height): Shape[] => [
      {
        kind: 'rectangle',
        x: LEFT,
        y: TOP + Math.round((1 - height) * HEIGHT),
        width: WIDTH,
        height: 1,
        colour: [...GREY],
      },
      text((height * highest).toFixed(1), 8, TOP + Math.round((1 - height) * HEIGHT) - 10, BLUE),
      text(`${100 * height} %`, LEFT + WIDTH + 8, TOP + Math.round((1 - height) * HEIGHT) - 10, ORANGE),
    ]),
    text('cross-entropy', 8, 2, BLUE),
    text('an object named first', LEFT + WIDTH - 150, 2, ORANGE),
    text(`${total} scenes`, LEFT + WIDTH / 2 - 50, TOP + HEIGHT + 6),
    ...lines.map(({ images, loss }) => dot(images, loss / highest, BLUE)),
    ...lines.map(({ images, accuracy }) => dot(images, accuracy, ORANGE)),
  ];
  return encodePng(rasterise({ width: LEFT + WIDTH + 70, height: TOP + HEIGHT + 30, shapes }));
}

const CELL = 18;
const LABELS = 110;

/** Rows: what it is; columns: what the network says; the darker, the more of the row. */
export function confusionMatrix(names: readonly string[], counts: readonly (readonly number[])[]): Promise<Uint8Array> {
  const shapes = counts.flatMap((row, i): Shape[] => {
    const total = Math.max(
      1,
      row.reduce((a, b) => a + b, 0),
    );
    return [
      { kind: 'text', text: names[i] ?? '', x: 4, y: 4 + i * CELL },
      ...row.map((count, j): Shape => {
        const shade = Math.round(255 * (1 - count / total));
        return {
          kind: 'rectangle',
          x: LABELS + j * CELL,
          y: 4 + i * CELL,
          width: CELL - 1,
          height: CELL - 1,
          colour: i === j ? [shade, 255 - Math.round((255 - shade) / 4), shade] : [255, shade, shade],
        };
      }),
    ];
  });
  return encodePng(rasterise({ width: LABELS + names.length * CELL + 8, height: names.length * CELL + 8, shapes }));
}
