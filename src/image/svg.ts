import { base64OfBytes } from './base64.ts';
import { hexOf } from './colour.ts';
import type { Drawing, Shape } from './drawing.ts';
import { encodePng } from './encode.ts';
import type { RgbImage } from './image.ts';
import { resize } from './resample.ts';
import { measureText } from './text.ts';

/** Where the letters of a line stand, below its top, and their size: as in `text.ts`. */
const BASELINE = 15;
const FONT_SIZE = 16;
/** Pictures have this many pixels for each unit at most, enough for screens of twice the usual density. */
const DENSITY = 2;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A text as the content or the quoted attribute of an element in XML or HTML. */
export function escapeMarkup(text: string): string {
  return text.replace(FORBIDDEN, '\ufffd').replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}

/**
 * The drawing as an SVG file: pictures as embedded PNG, text as text, legends as shapes.
 * @param title what the figure shows, for those who do not see it
 */
export async function svgOf({ width, height, shapes }: Drawing, title: string): Promise<string> {
  const elements = await Promise.all(shapes.map((shape, i) => elementOf(shape, `ramp-${i}`)));
  const name = escapeMarkup(title);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"
  role="img" aria-label="${name}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="${FONT_SIZE}">
<title>${name}</title>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${elements.join('\n')}
</svg>
`;
}

async function elementOf(shape: Shape, id: string): Promise<string> {
  const { x, y } = shape;
  if (shape.kind === 'text') {
    const { text, face = 'regular', colour = [0, 0, 0] } = shape;
    // Whatever the font, the line is as long as the layout wants it.
    const { width } = measureText(text, face);
    const weight = face === 'bold' ? ' font-weight="bold"' : '';
    const position = `x="${x}" y="${y + BASELINE}" textLength="${width}" lengthAdjust="spacingAndGlyphs"`;
    return `<text ${position} fill="${hexOf(colour)}"${weight}>${escapeMarkup(text)}</text>`;
  }
  const box = `x="${x}" y="${y}" width="${shape.width}" height="${shape.height}"`;
  switch (shape.kind) {
    case 'image': {
      const png = await encodePng(reduced(shape.image, shape.width, shape.height));
      return `<image ${box} preserveAspectRatio="none" href="data:image/png;base64,${base64OfBytes(png)}"/>`;
    }
    case 'rectangle':
      return `<rect ${box} fill="${hexOf(shape.colour)}"/>`;
    case 'ramp': {
      const last = Math.max(1, shape.colours.length - 1);
      const stops = shape.colours.map((colour, i) => `<stop offset="${i / last}" stop-color="${hexOf(colour)}"/>`);
      return `<linearGradient id="${id}">${stops.join('')}</linearGradient><rect ${box} fill="url(#${id})"/>`;
    }
  }
}

/** The image with no more pixels than can be seen at this size. */
function reduced(image: RgbImage, width: number, height: number): RgbImage {
  const scale = Math.min(1, (DENSITY * width) / image.width, (DENSITY * height) / image.height);
  if (scale === 1) return image;
  const scaled = (size: number) => Math.max(1, Math.round(size * scale));
  return resize(image, scaled(image.width), scaled(image.height), 'bilinear');
}

/** What XML has no way to write: control characters, and halves of surrogate pairs. */
const FORBIDDEN = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu;
