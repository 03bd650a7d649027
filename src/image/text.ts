import { bytesOfBase64 } from './base64.ts';
import { GLYPH_CHARACTERS, GLYPHS, type GlyphData, LINE_HEIGHT } from './glyphs.ts';
import { blendPixel, type Rgb, type RgbImage } from './image.ts';

/** How text looks. */
export interface TextStyle {
  /** Default 'regular'. */
  readonly face?: Face;
  /** Default black. */
  readonly colour?: Rgb;
}

export type Face = keyof typeof GLYPHS;

/** The coverage of one character's pixels, and where they are relative to the pen at the top of the line. */
interface Glyph {
  readonly advance: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** [height, width], 0 to 15. */
  readonly coverage: Uint8Array;
}

const ELLIPSIS = '…';
const FULL_COVERAGE = 15;

/** The size of a line of text in pixels; text is always one line. */
export function measureText(text: string, face: Face = 'regular'): { width: number; height: number } {
  const width = glyphsOf(text, face).reduce((sum, { advance }) => sum + advance, 0);
  return { width, height: LINE_HEIGHT };
}

/**
 * The image with one line of text, whose top left corner is at (x, y), over it. Characters that the font lacks are
 * drawn as a box; what lies outside the image is left out.
 */
export function drawText(image: RgbImage, text: string, x: number, y: number, style: TextStyle = {}): RgbImage {
  const copy = { ...image, data: image.data.slice() };
  paintText(copy, text, x, y, style);
  return copy;
}

/** `drawText` into the image itself. */
export function paintText(image: RgbImage, text: string, x: number, y: number, style: TextStyle = {}): void {
  const { face = 'regular', colour = [0, 0, 0] } = style;
  let pen = Math.round(x);
  for (const glyph of glyphsOf(text, face)) {
    paintGlyph(image, glyph, pen + glyph.left, Math.round(y) + glyph.top, colour);
    pen += glyph.advance;
  }
}

/** The text, shortened and ended by an ellipsis if it is wider than `width` pixels. */
export function shortenText(text: string, width: number, face: Face = 'regular'): string {
  if (measureText(text, face).width <= width) return text;
  const characters = [...text];
  while (characters.length > 0) {
    characters.pop();
    const shortened = characters.join('').trimEnd() + ELLIPSIS;
    if (measureText(shortened, face).width <= width) return shortened;
  }
  return '';
}

/**
 * The text in at most `maxLines` lines of at most `width` pixels, broken at spaces (but not between a number and its per
 * cent sign); what does not fit is shortened.
 */
export function wrapText(text: string, width: number, maxLines = Number.POSITIVE_INFINITY): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+(?!%)/)) {
    const longer = line ? `${line} ${word}` : word;
    if (!line || lines.length === maxLines - 1 || measureText(longer).width <= width) {
      line = longer;
    } else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line].map((each) => shortenText(each, width));
}

function paintGlyph(image: RgbImage, glyph: Glyph, left: number, top: number, colour: Rgb): void {
  for (let row = 0, i = 0; row < glyph.height; row++) {
    for (let column = 0; column < glyph.width; column++, i++) {
      const [x, y] = [left + column, top + row];
      if (x < 0 || x >= image.width || y < 0 || y >= image.height) continue;
      blendPixel(image, x, y, colour, (glyph.coverage[i] ?? 0) / FULL_COVERAGE);
    }
  }
}

/** Composed first, so that an accent that follows its letter finds its glyph; other white space counts as a space. */
function glyphsOf(text: string, face: Face): Glyph[] {
  const glyphs = FACES[face]();
  return [...text.normalize('NFC').replace(/\s/g, ' ')].map((character) => glyphs.get(character) ?? UNKNOWN);
}

/** Unpacked when first used: most users of the library draw no text. */
const FACES: Readonly<Record<Face, () => ReadonlyMap<string, Glyph>>> = {
  regular: once(() => unpack(GLYPHS.regular)),
  bold: once(() => unpack(GLYPHS.bold)),
};

function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function unpack(data: GlyphData): Map<string, Glyph> {
  const metrics = new Int8Array(bytesOfBase64(data.metrics));
  const packed = bytesOfBase64(data.coverage);
  const glyphs = new Map<string, Glyph>();
  let offset = 0;
  [...GLYPH_CHARACTERS].forEach((character, i) => {
    const [advance = 0, left = 0, top = 0, width = 0, height = 0] = metrics.subarray(i * 5, i * 5 + 5);
    const start = offset;
    const coverage = Uint8Array.from({ length: width * height }, (_, pixel) => {
      const pair = packed[start + (pixel >> 1)] ?? 0;
      return pixel % 2 === 0 ? pair >> 4 : pair & 15;
    });
    glyphs.set(character, { advance, left, top, width, height, coverage });
    offset += Math.ceil((width * height) / 2);
  });
  return glyphs;
}

/** The box that stands for a character without a glyph. */
const UNKNOWN: Glyph = {
  advance: 10,
  left: 1,
  top: 3,
  width: 8,
  height: 12,
  coverage: Uint8Array.from({ length: 8 * 12 }, (_, i) => {
    const [x, y] = [i % 8, Math.floor(i / 8)];
    return x === 0 || x === 7 || y === 0 || y === 11 ? FULL_COVERAGE : 0;
  }),
};
