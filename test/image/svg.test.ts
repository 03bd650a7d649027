import fc from 'fast-check';
import { PNG } from 'pngjs';
import { describe, expect, it } from 'vitest';
import { classColour, hexOf } from '../../src/image/colour.ts';
import { drawing, rasterise } from '../../src/image/drawing.ts';
import { drawContactSheet, drawLegend, drawWithLegend, formatPercent } from '../../src/image/figure.ts';
import { escapeMarkup, svgOf } from '../../src/image/svg.ts';
import { fromBase64, noise } from './support.ts';

const PHOTO = noise(200, 150);
const NAMES = ['tiger cat', `<b>"dog" & 'cat'</b>`, 'ﬁsh 🐟', 'ctrl \u0001\ud800 end'];
const classes = NAMES.map((name, k) => ({ name, probability: 0.9 / 10 ** k, colour: classColour(k) }));
const hues = classes.map(({ colour }) => colour);

/** A figure with every kind of shape. */
function sheet() {
  return drawContactSheet({
    photo: PHOTO,
    fused: PHOTO,
    singles: classes.map(({ name, colour }) => ({ title: name, image: PHOTO, colour })),
    legend: { title: 'A & B', classes, colourBar: [{ text: 'fused', maximum: 0.25, hues }, { text: 'single' }] },
  });
}

interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly text: string;
}

const REFERENCES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };
const unescaped = (text: string) => text.replace(/&([^;]*);/g, (_, name) => REFERENCES[name] ?? `unknown ${name}`);

/** The elements of an XML document; fails where it is not well-formed. Only what these files are made of is known. */
function parseXml(source: string): Element[] {
  expect(source).not.toMatch(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u);
  const elements: Element[] = [];
  const open: string[] = [];
  let at = 0;
  const token = /<(\/?)([a-zA-Z]+)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>([^<]*)/y;
  while (at < source.length) {
    token.lastIndex = at;
    const match = token.exec(source);
    if (!match) throw new Error(`not XML from here: ${source.slice(at, at + 80)}`);
    const [all, end, name = '', list = '', empty, text = ''] = match;
    expect(`${list}${text}`).not.toMatch(/&(?!(?:amp|lt|gt|quot|#39);)/);
    const attributes = [...list.matchAll(/([\w:-]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [
      key,
      unescaped(value),
    ]);
    expect(new Set(attributes.map(([key]) => key)).size).toBe(attributes.length);
    if (end) expect(open.pop()).toBe(name);
    else {
      elements.push({ name, attributes: new Map(attributes as [string, string][]), text: unescaped(text) });
      if (!empty) open.push(name);
    }
    at += all.length;
  }
  expect(open).toEqual([]);
  return elements;
}

const textsOf = (elements: readonly Element[]) =>
  elements.filter(({ name }) => name === 'text').map(({ text }) => text);

describe('svgOf', () => {
  it('is XML whose texts hold the names and the probabilities, whatever the names', async () => {
    const texts = textsOf(parseXml(await svgOf(drawWithLegend(PHOTO, { title: 'A & B', classes }), '<title>')));
    expect(texts).toEqual([
      'A & B',
      ...classes.flatMap(({ name, probability }) => [
        name.replace('\u0001', '\ufffd').replace('\ud800', '\ufffd'),
        formatPercent(probability),
      ]),
    ]);
  });

  it('is as large as the image, and says what it shows', async () => {
    const figure = sheet();
    const { width, height } = rasterise(figure);
    const [root, title] = parseXml(await svgOf(figure, 'dog & cat'));
    expect(root?.attributes.get('viewBox')).toBe(`0 0 ${width} ${height}`);
    expect([root?.attributes.get('aria-label'), title?.text]).toEqual(['dog & cat', 'dog & cat']);
  });

  it('embeds the pictures as PNG, with their own pixels', async () => {
    const images = parseXml(await svgOf(sheet(), 'x')).filter(({ name }) => name === 'image');
    expect(images).toHaveLength(2 + classes.length);
    for (const { attributes } of images) {
      const [, base64 = ''] = /^data:image\/png;base64,(.*)$/.exec(attributes.get('href') ?? '') ?? [];
      const { width, height, data } = PNG.sync.read(Buffer.from(fromBase64(base64)));
      expect([width, height]).toEqual([PHOTO.width, PHOTO.height]);
      expect(data.filter((_, i) => i % 4 < 3)).toEqual(Buffer.from(PHOTO.data));
    }
  });

  it('reduces a picture that is larger than can be seen', async () => {
    const image = noise(900, 300);
    const shapes = [{ kind: 'image' as const, image, x: 0, y: 0, width: 90, height: 30 }];
    const href =
      parseXml(await svgOf(drawing(90, 30, shapes), 'x'))
        .at(-1)
        ?.attributes.get('href') ?? '';
    const { width, height } = PNG.sync.read(Buffer.from(fromBase64(href.split(',')[1] ?? '')));
    expect([width, height]).toEqual([180, 60]);
  });

  it('draws legends as shapes: swatches, ramps with unique names, and numbers', async () => {
    const legend = { classes, colourBar: { text: 'bar', maximum: 0.25, hues } };
    const elements = parseXml(await svgOf(drawLegend(legend, 800), 'x'));
    const fills = elements.filter(({ name }) => name === 'rect').map(({ attributes }) => attributes.get('fill'));
    expect(fills).toEqual(expect.arrayContaining(hues.map(hexOf)));
    const ramps = elements
      .filter(({ name }) => name === 'linearGradient')
      .map(({ attributes }) => attributes.get('id'));
    expect(new Set(ramps).size).toBe(hues.length);
    expect(fills).toEqual(expect.arrayContaining(ramps.map((id) => `url(#${id})`)));
    expect(textsOf(elements).slice(-4)).toEqual(['bar', '0', '0.125', '0.25']);
  });

  it('asks for nothing from elsewhere', async () => {
    const source = await svgOf(sheet(), 'x');
    expect(source.replace('xmlns="http://www.w3.org/2000/svg"', '')).not.toMatch(/https?:|<script|<style/);
  });
});

describe('escapeMarkup', () => {
  it('makes content and attributes of any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const [element] = parseXml(`<a b="${escapeMarkup(text)}">${escapeMarkup(text)}</a>`);
        expect(element?.attributes.get('b')).toBe(element?.text);
      }),
    );
  });
});
