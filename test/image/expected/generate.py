#!/usr/bin/env python3
"""Makes the expected values of the image tests with Pillow and PyTorch: `python3 generate.py` writes the JSON files beside it.

Made with Pillow 9.4.0, libjpeg-turbo 2.1.5 and PyTorch 1.13 (Debian 12).
"""
import base64
import io
import json
import random
import struct
import zlib
from pathlib import Path

import torch
from PIL import Image, ImageOps

HERE = Path(__file__).parent
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def base64_of(data):
    return base64.b64encode(data).decode()


def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def pack_rows(rows, depth):
    """Each row of samples as a filter byte (none) and the samples, `depth` bits each, most significant first."""
    packed = b''
    for row in rows:
        bits = ''.join(format(sample, f'0{depth}b') for sample in row)
        bits += '0' * (-len(bits) % 8)
        packed += b'\0' + bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
    return packed


def png(rng, width, height, colour_type, depth, interlaced=False, extra=b''):
    samples = SAMPLES[colour_type]
    pixels = [[[rng.randrange(2 ** depth) for _ in range(samples)] for _ in range(width)] for _ in range(height)]
    flat = lambda rows: [[s for pixel in row for s in pixel] for row in rows]
    if interlaced:
        passes = [[row[x0::dx] for row in pixels[y0::dy]] for x0, y0, dx, dy in ADAM7]
        data = b''.join(pack_rows(flat(rows), depth) for rows in passes if rows and rows[0])
    else:
        data = pack_rows(flat(pixels), depth)
    header = struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, int(interlaced))
    palette = chunk(b'PLTE', bytes(rng.randrange(256) for _ in range(3 * 2 ** depth))) if colour_type == 3 else b''
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + palette + extra
            + chunk(b'IDAT', zlib.compress(data)) + chunk(b'IEND', b''))


def exif(orientation, order='>'):
    mark = b'MM\0*' if order == '>' else b'II*\0'
    return mark + struct.pack(order + 'IHHHIHHI', 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def photo(rng, width, height):
    """Smooth and coloured, as photographs are, with some noise."""
    data = bytes(
        min(255, max(0, int(v + rng.gauss(0, 6))))
        for y in range(height) for x in range(width)
        for v in (255 * x / width, 255 * y / height, 255 - 200 * x * y / (width * height))
    )
    return Image.frombytes('RGB', (width, height), data)


def jpeg(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, 'JPEG', **options)
    return buffer.getvalue()


def expected(data):
    image = Image.open(io.BytesIO(data))
    if image.mode == 'I':  # 16-bit grey: the high byte, where PIL's own conversion clips
        image = image.point(lambda value: value * (1 / 256)).convert('L')
    image = ImageOps.exif_transpose(image).convert('RGB')
    return {'width': image.width, 'height': image.height, 'pixels': base64_of(image.tobytes())}


def decode_cases():
    rng = random.Random(1)
    files = {}
    kinds = {0: 'grey', 2: 'rgb', 3: 'palette', 4: 'grey+alpha', 6: 'rgba'}
    for colour_type, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            for interlaced in (False, True):
                width, height = (5, 3) if depth < 8 else (6, 5)
                title = f'png {kinds[colour_type]} {depth} bits{" interlaced" if interlaced else ""}'
                files[title] = png(rng, width, height, colour_type, depth, interlaced)
    files['png 1x1 interlaced'] = png(rng, 1, 1, 2, 8, True)
    files['png palette with tRNS'] = png(rng, 5, 4, 3, 4, extra=chunk(b'tRNS', bytes([0, 128, 255, 7])))
    files['png grey with tRNS'] = png(rng, 5, 4, 0, 2, extra=chunk(b'tRNS', b'\0\1'))
    for orientation in range(1, 9):
        order = '<>'[orientation % 2]
        files[f'png exif orientation {orientation}'] = png(rng, 3, 2, 2, 8, extra=chunk(b'eXIf', exif(orientation, order)))
        files[f'jpeg exif orientation {orientation}'] = jpeg(
            photo(rng, 11, 9), quality=90, exif=b'Exif\0\0' + exif(orientation, order))
    for subsampling in ('4:4:4', '4:2:2', '4:2:0'):
        for progressive in (False, True):
            title = f'jpeg {subsampling}{" progressive" if progressive else ""}'
            files[title] = jpeg(photo(rng, 19, 17), quality=80, subsampling=subsampling, progressive=progressive)
    files['jpeg grey'] = jpeg(photo(rng, 17, 9).convert('L'), quality=75)
    files['jpeg 1x1'] = jpeg(photo(rng, 1, 1))
    return [{'title': title, 'file': base64_of(data), **expected(data)} for title, data in files.items()]


def resize_cases():
    rng = random.Random(2)
    sizes = [((1, 1), (3, 2)), ((1, 9), (4, 3)), ((7, 1), (1, 5)), ((12, 10), (12, 4)), ((12, 10), (5, 10)), ((9, 9), (9, 9))]
    sizes += [(tuple(rng.randint(1, 40) for _ in 'wh'), tuple(rng.randint(1, 24) for _ in 'wh')) for _ in range(12)]
    cases = []
    for (width, height), to in sizes:
        image = Image.frombytes('RGB', (width, height), bytes(rng.choice((0, 255, rng.randrange(256))) for _ in range(width * height * 3)))
        for name, resample in (('bilinear', Image.BILINEAR), ('bicubic', Image.BICUBIC)):
            cases.append({
                'from': [width, height], 'to': list(to), 'filter': name, 'source': base64_of(image.tobytes()),
                'pixels': base64_of(image.resize(to, resample).tobytes()),
            })
    return cases


def upsample_cases():
    torch.manual_seed(4)
    cases = []
    for source, target in [((1, 1), (2, 3)), ((2, 2), (5, 4)), ((3, 4), (7, 9)), ((7, 7), (10, 11)), ((5, 3), (3, 2)), ((4, 1), (6, 1))]:
        values = torch.randn(source)
        result = torch.nn.functional.interpolate(values[None, None], target, mode='bilinear', align_corners=False)[0, 0]
        cases.append({'from': source, 'to': target, 'source': values.flatten().tolist(), 'result': result.flatten().tolist()})
    return cases


def cmyk_case():
    return base64_of(jpeg(photo(random.Random(3), 8, 8).convert('CMYK')))


def write(name, value):
    (HERE / name).write_text(json.dumps(value, indent=1) + '\n')


write('decode.json', {'images': decode_cases(), 'cmyk': cmyk_case()})
write('resize.json', resize_cases())
write('upsample.json', upsample_cases())
