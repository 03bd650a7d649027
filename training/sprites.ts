import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Resvg } from '@resvg/resvg-js';
import { CLASSES, DISTRACTORS, type Style } from './classes.ts';
import { drawn, lineArt } from './styles.ts';

/** A picture with transparency: premultiplied RGBA, square, at several sizes, each half the one before. */
export interface Sprite {
  readonly levels: readonly { readonly size: number; readonly pixels: Uint8ClampedArray }[];
}

/** An icon: as its artist made it, and redrawn in other ways. */
export interface Icon {
  readonly original: Sprite;
  readonly redrawn: readonly Sprite[];
}

export interface Artwork {
  /** For each class its icons in all styles, those of one motif together. */
  readonly classes: readonly (readonly Icon[])[];
  readonly distractors: readonly Icon[];
}

interface IconSet {
  readonly width?: number;
  readonly height?: number;
  readonly icons: Readonly<
    Record<string, { readonly body: string; readonly width?: number; readonly height?: number }>
  >;
  readonly aliases?: Readonly<Record<string, { readonly parent: string }>>;
}

/** What an icon is first rasterised to. */
const RASTER = 144;
/** Side of a sprite, and the margin around its motif, where an outline has room. */
export const SPRITE = 96;
const MARGIN = 5;
const LEVELS = 3;

const require = createRequire(import.meta.url);

/** Rasterises all icons of these styles that the scenes need; it takes some seconds. */
export function loadArtwork(styles: readonly Style[]): Artwork {
  const sets = styles.map(
    (style): IconSet => JSON.parse(readFileSync(require.resolve(`@iconify-json/${style}/icons.json`), 'utf8')),
  );
  const icons = (name: string) =>
    sets.flatMap((set) => {
      const svg = svgOf(set, name);
      return svg ? [iconOf(svg)] : [];
    });
  return {
    classes: Object.values(CLASSES).map((names) => names.flatMap(icons)),
    distractors: DISTRACTORS.flatMap(icons),
  };
}

function svgOf(set: IconSet, name: string): string | undefined {
  const icon = set.icons[name] ?? set.icons[set.aliases?.[name]?.parent ?? ''];
  if (!icon) return undefined;
  const { width = set.width ?? 16, height = set.height ?? 16, body } = icon;
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${width} ${height}">${body}</svg>`;
}

function iconOf(svg: string): Icon {
  const rendered = new Resvg(svg, { fitTo: { mode: 'width', value: RASTER } }).render();
  const pixels = fit(rendered.pixels, rendered.width, rendered.height);
  return { original: spriteOf(pixels), redrawn: [drawn(pixels), lineArt(pixels)].map(spriteOf) };
}

/** The motif without the empty space around it, in the middle of a sprite and as large as fits. */
function fit(source: Uint8Array, width: number, height: number): Uint8ClampedArray {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if ((source[4 * (y * width + x) + 3] ?? 0) < 8) continue;
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
  }
  const scale = Math.max(right - left, bottom - top) / (SPRITE - 2 * MARGIN);
  const result = new Uint8ClampedArray(4 * SPRITE * SPRITE);
  for (let y = 0; y < SPRITE; y++) {
    for (let x = 0; x < SPRITE; x++) {
      // Where the middle of this pixel lies between the middles of four of the source.
      const u = (left + right) / 2 + (x + 0.5 - SPRITE / 2) * scale - 0.5;
      const v = (top + bottom) / 2 + (y + 0.5 - SPRITE / 2) * scale - 0.5;
      const [u0, v0] = [Math.floor(u), Math.floor(v)];
      for (let dy = 0; dy < 2; dy++) {
        for (let dx = 0; dx < 2; dx++) {
          const [su, sv] = [u0 + dx, v0 + dy];
          if (su < 0 || sv < 0 || su >= width || sv >= height) continue;
          const weight = (1 - Math.abs(u - su)) * (1 - Math.abs(v - sv));
          for (let c = 0; c < 4; c++) {
            result[4 * (y * SPRITE + x) + c] =
              (result[4 * (y * SPRITE + x) + c] ?? 0) + weight * (source[4 * (sv * width + su) + c] ?? 0);
          }
        }
      }
    }
  }
  return result;
}

function spriteOf(pixels: Uint8ClampedArray): Sprite {
  const levels = [{ size: SPRITE, pixels }];
  for (let level = 1; level < LEVELS; level++) levels.push(halve(levels[level - 1] ?? { size: 0, pixels }));
  return { levels };
}

function halve({ size, pixels }: { readonly size: number; readonly pixels: Uint8ClampedArray }) {
  const half = size / 2;
  const result = new Uint8ClampedArray(4 * half * half);
  for (let y = 0; y < half; y++) {
    for (let x = 0; x < half; x++) {
      for (let c = 0; c < 4; c++) {
        const from = 4 * (2 * y * size + 2 * x) + c;
        const sum =
          (pixels[from] ?? 0) +
          (pixels[from + 4] ?? 0) +
          (pixels[from + 4 * size] ?? 0) +
          (pixels[from + 4 * size + 4] ?? 0);
        result[4 * (y * half + x) + c] = sum / 4;
      }
    }
  }
  return { size: half, pixels: result };
}
