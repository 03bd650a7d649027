import { canvas, paintImage, paintRectangle } from './canvas.ts';
import { mix } from './colour.ts';
import type { Rectangle, Rgb, RgbImage } from './image.ts';
import { resize } from './resample.ts';
import { type Face, paintText } from './text.ts';

/** A figure on white as shapes in pixels, of which `rasterise` makes an image and `svgOf` a vector graphic. */
export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly shapes: readonly Shape[];
}

export type Shape =
  /** A picture, brought to a size. */
  | (Rectangle & { readonly kind: 'image'; readonly image: RgbImage })
  | (Rectangle & { readonly kind: 'rectangle'; readonly colour: Rgb })
  /** A rectangle whose colour goes through these from left to right. */
  | (Rectangle & { readonly kind: 'ramp'; readonly colours: readonly Rgb[] })
  /** One line, with its top left corner at (x, y). */
  | {
      readonly kind: 'text';
      readonly text: string;
      readonly x: number;
      readonly y: number;
      readonly face?: Face;
      readonly colour?: Rgb;
    };

export function drawing(width: number, height: number, shapes: readonly Shape[] = []): Drawing {
  return { width, height, shapes };
}

/** The shapes of a drawing that is put into another one at (x, y). */
export function place({ shapes }: Drawing, x: number, y: number): Shape[] {
  return shapes.map((shape) => ({ ...shape, x: shape.x + x, y: shape.y + y }));
}

/** The drawing in pixels. */
export function rasterise({ width, height, shapes }: Drawing): RgbImage {
  const target = canvas(width, height);
  for (const shape of shapes) paint(target, shape);
  return target;
}

function paint(target: RgbImage, shape: Shape): void {
  const { x, y } = shape;
  switch (shape.kind) {
    case 'image':
      paintImage(target, resize(shape.image, shape.width, shape.height, 'bilinear'), x, y);
      break;
    case 'rectangle':
      paintRectangle(target, shape, shape.colour);
      break;
    case 'ramp':
      for (let column = 0; column < shape.width; column++) {
        const colour = colourAt(shape.colours, column / Math.max(1, shape.width - 1));
        paintRectangle(target, { x: x + column, y, width: 1, height: shape.height }, colour);
      }
      break;
    case 'text':
      paintText(target, shape.text, x, y, shape);
  }
}

/** The colour at a fraction of the way through a ramp. */
function colourAt(colours: readonly Rgb[], fraction: number): Rgb {
  const position = fraction * (colours.length - 1);
  const below = Math.min(Math.floor(position), colours.length - 2);
  const [from = WHITE, to = from] = colours.slice(below, below + 2);
  return mix(from, to, position - below);
}

const WHITE: Rgb = [255, 255, 255];
