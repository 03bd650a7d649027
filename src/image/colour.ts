import { bytesOfBase64 } from './base64.ts';
import type { Rgb } from './image.ts';

/** The 256 colours of viridis, 3 bytes each: figures of matplotlib 3.6 (`_cm_listed.py`, CC0), rounded to 8 bits. */
const VIRIDIS = bytesOfBase64(
  'RAFURAJWRQRXRQVZRgdaRghcRgpdRgteRw1gRw5hRxBjRxFkRxNlSBRnSBZoSBdpSBhqSBpsSBttSBxuSB1vSB9wSCBxSCFzSCN0SCR1SCV2SCZ3SCh4SCl5Ryp6Ryx6Ry17Ry58Ry99RjB+RjJ+RjN/RjSARTWBRTeBRTiCRDmDRDqDRDuEQz2EQz6FQj+FQkCGQkGGQUKHQUSHQEWIQEaIP0eIP0iJPkmJPkqJPkyKPU2KPU6KPE+KPFCLO1GLO1KLOlOLOlSMOVWMOVaMOFiMOFmMN1qMN1uNNlyNNl2NNV6NNV+NNGCNNGGNM2KNM2ONMmSOMmWOMWaOMWeOMWiOMGmOMGqOL2uOL2yOLm2OLm6OLm+OLXCOLXGOLHGOLHKOLHOOK3SOK3WOKnaOKneOKniOKXmOKXqOKXuOKHyOKH2OJ36OJ3+OJ4COJoGOJoKOJoKOJYOOJYSOJYWOJIaOJIeOI4iOI4mOI4qNIouNIoyNIo2NIY6NIY+NIZCNIZGMIJKMIJKMIJOMH5SMH5WLH5aLH5eLH5iLH5mKH5qKHpuKHpyJHp2JH56JH5+IH6CIH6GIH6GHH6KHIKOGIKSGIaWFIaaFIqeFIqiEI6mDJKqDJauCJayCJq2BJ62BKK6AKa9/KrB/LLF+LbJ9LrN8L7R8MbV7MrZ6NLZ5Nbd5N7h4OLl3Orp2O7t1Pbx0P7xzQL1yQr5xRL9wRsBvSMFuSsFtTMJsTsNrUMRqUsVpVMVoVsZnWMdlWshkXMhjXsliYMpgY8tfZcteZ8xcac1bbM1abs5YcM9Xc9BWddBUd9FTetFRfNJQf9NOgdNNhNRLhtVJidVIi9ZGjtZFkNdDk9dBldhAmNg+m9k8ndk7oNo5oto3pds2qNs0qtwyrdwwsN0vst0ttd4ruN4put4ovd8mwN8lwt8jxeAhyOAgyuEfzeEd0OEc0uIb1eIa2OIZ2uMZ3eMY3+MY4uQY5eQZ5+QZ6uUa7OUb7+Uc8eUd9OYe9uYg+OYh++cj/ecl',
);

/** Matplotlib's viridis, from dark purple at 0 to yellow at 1. Values beyond are clipped, as matplotlib does. */
export function viridis(value: number): Rgb {
  const index = 3 * Math.min(255, Math.max(0, Math.trunc(value * 256)));
  return [VIRIDIS[index] ?? 0, VIRIDIS[index + 1] ?? 0, VIRIDIS[index + 2] ?? 0];
}

/** Paul Tol's 'BuRd' scheme (2021) for values around zero: blue below, nearly white at zero, red above. */
const BLUE_TO_RED: readonly Rgb[] = [
  [33, 102, 172],
  [67, 147, 195],
  [146, 197, 222],
  [209, 229, 240],
  [247, 247, 247],
  [253, 219, 199],
  [244, 165, 130],
  [214, 96, 77],
  [178, 24, 43],
];

/** The colour of a value in [-1, 1], from blue over nearly white at 0 to red; values beyond are clipped. */
export function diverging(value: number): Rgb {
  const last = BLUE_TO_RED.length - 1;
  const position = (Math.min(1, Math.max(-1, value)) + 1) * (last / 2);
  const below = Math.min(last - 1, Math.floor(position));
  const [from = WHITE, to = WHITE] = BLUE_TO_RED.slice(below, below + 2);
  return mix(from, to, position - below);
}

const WHITE: Rgb = [255, 255, 255];

/** The colour on the way from one to another: `from` at 0, `to` at 1. */
export function mix(from: Rgb, to: Rgb, fraction: number): Rgb {
  const channel = (i: 0 | 1 | 2) => Math.round(from[i] + (to[i] - from[i]) * fraction);
  return [channel(0), channel(1), channel(2)];
}

/** As SVG and CSS write it: #d55e00. */
export function hexOf(colour: Rgb): string {
  return `#${colour.map((level) => level.toString(16).padStart(2, '0')).join('')}`;
}

/**
 * Hues that people with any kind of colour vision can tell apart: seven of Okabe and Ito's eight (Color Universal
 * Design, 2008; black cannot be seen on a photograph), then three of Paul Tol's 'muted' scheme (2021). The first five
 * are those of Okabe and Ito that stay furthest apart; the dark ones, which a dark photograph hides, come last.
 */
const CLASS_COLOURS: readonly Rgb[] = [
  [213, 94, 0], // vermillion
  [86, 180, 233], // sky blue
  [240, 228, 66], // yellow
  [0, 114, 178], // blue
  [204, 121, 167], // reddish purple
  [0, 158, 115], // bluish green
  [230, 159, 0], // orange
  [136, 34, 85], // wine
  [51, 34, 136], // indigo
  [153, 153, 51], // olive
];

const GOLDEN_ANGLE = 137.508;

/** The colour of the class at `rank` (0, 1, ...): always the same, and distinct also beyond the palette. */
export function classColour(rank: number): Rgb {
  return CLASS_COLOURS[rank] ?? hue(rank * GOLDEN_ANGLE, rank % 2 === 0 ? 0.45 : 0.65);
}

/** The saturated colour of a hue in degrees at a lightness in [0, 1] (HSL). */
function hue(degrees: number, lightness: number): Rgb {
  const amplitude = 0.8 * Math.min(lightness, 1 - lightness);
  const channel = (offset: number) => {
    const sector = (offset + degrees / 30) % 12;
    return Math.round(255 * (lightness - amplitude * Math.max(-1, Math.min(sector - 3, 9 - sector, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}
