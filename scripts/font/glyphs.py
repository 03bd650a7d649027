#!/usr/bin/env python3
"""Draws the glyphs of src/image/glyphs.ts: `python3 scripts/font/glyphs.py > src/image/glyphs.ts`.

Needs Pillow and the DejaVu fonts (Debian: python3-pil, fonts-dejavu-core).
"""
import base64

from PIL import ImageFont

FOLDER = '/usr/share/fonts/truetype/dejavu'
FACES = {'regular': 'DejaVuSans.ttf', 'bold': 'DejaVuSans-Bold.ttf'}
SIZE = 16
CHARACTERS = ''.join(map(chr, [*range(32, 127), *range(0xC0, 0x100)])) + '°±·–—‘’“”…'

HEADER = '''/**
 * Antialiased glyphs of DejaVu Sans 2.37 (https://dejavu-fonts.github.io) at {size} pixels, made by scripts/font/glyphs.py.
 *
 * The DejaVu fonts are free: copyright (c) 2003 Bitstream, Inc. (Bitstream Vera), copyright (c) 2006 Tavmjong Bah (Arev
 * glyphs), DejaVu's changes are in the public domain. Both licences allow use, embedding and redistribution:
 * https://dejavu-fonts.github.io/License.html
 */

/** The glyphs of one face, in the order of GLYPH_CHARACTERS. */
export interface GlyphData {{
  /** Base64 of 5 bytes per glyph: advance, left, top from the top of the line, width, height; the second and third signed. */
  readonly metrics: string;
  /** Base64 of the coverage (0 to 15) of each glyph's pixels, row-major, two to a byte, high half first. */
  readonly coverage: string;
}}

/** The distance from one line to the next, in pixels. */
export const LINE_HEIGHT = {line_height};
'''


def face(path):
    font = ImageFont.truetype(path, SIZE, layout_engine=ImageFont.Layout.BASIC)
    metrics, coverage = bytearray(), bytearray()
    for character in CHARACTERS:
        mask, (left, top) = font.getmask2(character, mode='L')
        width, height = mask.size
        metrics += bytes([round(font.getlength(character)), left & 0xFF, top & 0xFF, width, height])
        levels = [round(value / 17) for value in mask] + [0] * (width * height % 2)
        coverage += bytes(high << 4 | low for high, low in zip(levels[::2], levels[1::2]))
    return metrics, coverage, sum(font.getmetrics())


def literal(text):
    return "'" + text.replace('\\', '\\\\').replace("'", "\\'") + "'"


faces = {name: face(f'{FOLDER}/{file}') for name, file in FACES.items()}
print(HEADER.format(size=SIZE, line_height=max(height for _, _, height in faces.values())))
print(f'export const GLYPH_CHARACTERS =\n  {literal(CHARACTERS)};\n')
print('export const GLYPHS: { readonly regular: GlyphData; readonly bold: GlyphData } = {')
for name, (metrics, coverage, _) in faces.items():
    print(f'  {name}: {{')
    print(f"    metrics:\n      '{base64.b64encode(metrics).decode()}',")
    print(f"    coverage:\n      '{base64.b64encode(coverage).decode()}',")
    print('  },')
print('};')
