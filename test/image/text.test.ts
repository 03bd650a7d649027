import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filledImage, type Rgb, type RgbImage } from '../../src/image/image.ts';
import { drawText, measureText, shortenText, wrapText } from '../../src/image/text.ts';
import { noise } from './support.ts';

const WHITE: Rgb = [255, 255, 255];

function inkOf(image: RgbImage): number {
  return image.data.reduce((sum, level) => sum + 255 - level, 0);
}

function drawn(text: string): RgbImage {
  return drawText(filledImage(measureText(text).width + 2, 24, WHITE), text, 1, 1);
}

describe('drawText', () => {
  it('draws every character of ASCII and Latin-1 letters differently', () => {
    const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
    const letters = Array.from({ length: 64 }, (_, i) => String.fromCharCode(0xc0 + i));
    const pictures = [...printable, ...letters].map((letter) => Buffer.from(drawn(letter).data).toString('base64'));
    expect(new Set(pictures).size).toBe(pictures.length);
  });

  it('draws what the font lacks as a box', () => {
    expect(inkOf(drawn('猫'))).toBeGreaterThan(0);
    expect(drawn('猫')).toEqual(drawn('犬'));
    expect(measureText('😀').width).toBe(measureText('猫').width); // one character, though two UTF-16 units
  });

  it('draws a letter with a combining accent as the letter that has it', () => {
    expect(drawn('e\u0301')).toEqual(drawn('é'));
  });

  it('draws white space as nothing, one space wide', () => {
    expect(inkOf(drawn(' \t\n\u00a0'))).toBe(0);
    expect(measureText('\n').width).toBe(measureText(' ').width);
  });

  it('keeps within the width that measureText says, and draws in the colour', () => {
    const width = measureText('Wj|').width;
    const image = drawText(filledImage(width + 20, 20, WHITE), 'Wj|', 10, 0, { colour: [255, 255, 0] });
    const inked = [...image.data.keys()].filter((i) => image.data[i] !== 255);
    expect(inked.length).toBeGreaterThan(20);
    for (const i of inked) {
      const x = Math.floor(i / 3) % image.width;
      expect(x >= 10 && x < 10 + width && i % 3 === 2).toBe(true);
    }
  });

  it('leaves out what lies outside, and its argument as it was', () => {
    const image = noise(9, 9);
    const before = image.data.slice();
    for (const [x, y] of [
      [-30, 0],
      [0, -30],
      [30, 0],
      [0, 30],
    ] as const) {
      expect(drawText(image, 'abc', x, y)).toEqual({ ...image, data: before });
    }
    expect(drawText(image, 'abc', -3, -2).data).not.toEqual(before);
    expect(image.data).toEqual(before);
  });

  it('has more ink in bold', () => {
    const canvas = filledImage(100, 20, WHITE);
    expect(inkOf(drawText(canvas, 'tiger', 0, 0, { face: 'bold' }))).toBeGreaterThan(
      inkOf(drawText(canvas, 'tiger', 0, 0)),
    );
  });
});

describe('shortenText and wrapText', () => {
  it('keep what fits, and shorten what does not to the width', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 20, max: 300 }), (text, width) => {
        const short = shortenText(text, width);
        expect(measureText(short).width).toBeLessThanOrEqual(width);
        if (measureText(text).width <= width) expect(short).toBe(text);
        else expect(short.endsWith('…')).toBe(true);
      }),
    );
  });

  it('break at spaces, and end the last line with an ellipsis', () => {
    const width = measureText('golden retriever').width;
    expect(wrapText('golden retriever, yellow dog', width, 2)).toEqual(
      ['golden', 'retriever, yell…'].map((line) => shortenText(line, width)),
    );
    expect(wrapText('a b', 300, 2)).toEqual(['a b']);
    expect(wrapText('tiger cat 93.6 %', measureText('tiger cat 93.6').width)).toEqual(['tiger cat', '93.6 %']);
  });

  it('keep every word when there are lines enough', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1, maxLength: 12 }), (words) => {
        const lines = wrapText(words.join(' '), 120);
        expect(lines.join(' ')).toBe(words.join(' '));
        for (const line of lines) expect(measureText(line).width).toBeLessThanOrEqual(120);
      }),
    );
  });
});
