import { ACTIVATIONS } from '../cam/algorithm.ts';
import type { StepName } from '../cam/trace.ts';
import { classColour, hexOf, mix } from '../image/colour.ts';

import { formatPercent } from '../image/figure.ts';
import type { Rgb } from '../image/image.ts';
import { type OverlayMap, overlayFused } from '../image/overlay.ts';
import { at } from '../tensor/shape.ts';
import {
  type Context,
  classLabel,
  classMapFrames,
  frame,
  heatMap,
  mapFrame,
  picture,
  scaleBar,
  scaleOf,
  swatch,
  table,
  tiles,
  words,
} from './frames.ts';
import { type Html, html } from './html.ts';
import { argLargest, formatNumber, largest, rowOf, summaryOf } from './numbers.ts';
import { photoAt, stepOf } from './study.ts';

/* What the page shows of each step, in the order of Algorithm 1. */

/** One column of a panel: the steps that it is about, and their pictures. */
export interface Side {
  readonly steps: readonly StepName[];
  readonly body: Html;
}

export interface Panel {
  readonly id: string;
  readonly title: string;
  readonly prose: Html;
  readonly paper: Side;
  /** What the authors' library does in its place; left out where it does the same. */
  readonly reference?: Side;
}

/** How many of the strongest channels are shown: of the activations, and of the gradients of each class. */
const CHANNELS = { activations: 12, gradients: 6 };
/** Pictures over the photograph, longest side in pixels. */
const OVERLAY = { large: 360, small: 176 };
/** Larger inputs are shown without their values, which would make most of the page. */
const MOST_PIXELS = 256 * 256;

export function panels(context: Context): Panel[] {
  return [
    inputPanel(context),
    activationsPanel(context),
    classesPanel(context),
    gradientsPanel(context),
    importancePanel(context),
    classMapsPanel(context),
    winnersPanel(context),
    fusedPanel(context),
    normalisedPanel(context),
    withoutNormPanel(context),
    activationPanel(context),
    overlayPanel(context),
    gradCamPanel(context),
  ];
}

function inputPanel(context: Context): Panel {
  const { seen, file } = context.study;
  const { data } = stepOf(context.study, 'input');
  const withValues = seen.width * seen.height <= MOST_PIXELS;
  const body = frame({
    content: picture(context, seen, `What the network sees of ${file}`),
    label: `Input, ${seen.height} x ${seen.width} pixels`,
    caption: words(withValues ? 'red, green, blue' : `values are left out above ${MOST_PIXELS} pixels`),
    grid: [seen.height, seen.width],
    ...(withValues && { values: data }),
  });
  return {
    id: 'input',
    title: 'Input',
    prose: html`The photograph at the network's size, each colour less a mean and divided by a standard deviation. The
      pixel under the pointer is shown in every picture of this page.`,
    paper: { steps: ['input'], body: html`<div class="single">${body}</div>` },
  };
}

function activationsPanel(context: Context): Panel {
  const { data, shape } = stepOf(context.study, 'activations');
  const [C = 1, I = 1, J = 1] = shape;
  const channels = Array.from({ length: C }, (_, c) => rowOf(data, c, I * J));
  const strongest = largest(
    channels.map((channel) => summaryOf(channel).norm),
    CHANNELS.activations,
  );
  const scale = scaleOf(joined(strongest.map((c) => at(channels, c))));
  const maps = strongest.map((c) =>
    mapFrame(context, at(channels, c), J, {
      label: `Channel ${c}`,
      caption: words(c),
      scale,
    }),
  );
  return {
    id: 'activations',
    title: 'Activations of the layer',
    prose: html`${context.study.layer} returns ${C} channels of ${I} × ${J} pixels. These are the ${strongest.length}
      with the largest L2 norm, under their numbers.`,
    paper: { steps: ['activations'], body: html`${tiles(maps)}${scaleBar(context, scale)}` },
  };
}

function classesPanel({ study }: Context): Panel {
  const rows = study.classes.map(({ name, index, logit, probability }, rank) => {
    const bar = html`<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect
      width="${100 * probability}" height="10" fill="${hexOf(classColour(rank))}"/></svg>`;
    const numbers = [index, formatNumber(logit), formatPercent(probability)].map((value) => html`<td>${value}</td>`);
    const heading = html`<th scope="row">${swatch(rank)}${name}</th>`;
    return html`<tr><td>${rank + 1}</td>${heading}${numbers}<td class="wide">${bar}</td></tr>`;
  });
  const others = at(stepOf(study, 'probs').shape, 0) - study.classes.length;
  const share = 1 - study.classes.reduce((sum, { probability }) => sum + probability, 0);
  const rest = others > 0 ? `; the other ${others} share ${formatPercent(Math.min(1, Math.max(0, share)))}` : '';
  return {
    id: 'classes',
    title: 'Classes',
    prose: html`The classes that are explained${rest}.
      Their hues can be told apart with any kind of colour vision, and are the same in every picture.`,
    paper: {
      steps: ['logits', 'probs', 'top'],
      body: table(['k', 'class', 'n', 'logit', 'P(n)', ''], rows),
    },
  };
}

function gradientsPanel(context: Context): Panel {
  const { data, shape } = stepOf(context.study, 'gradients');
  const [, C = 1, I = 1, J = 1] = shape;
  const alpha = stepOf(context.study, 'alpha').data;
  const shown = context.study.classes.map((_, k) =>
    largest(rowOf(alpha, k, C).map(Math.abs), CHANNELS.gradients).map((c) => ({
      c,
      map: rowOf(data, k * C + c, I * J),
    })),
  );
  const scale = scaleOf(joined(shown.flat().map(({ map }) => map)));
  const rows = context.study.classes.map(({ name }, k) => {
    const maps = at(shown, k).map(({ c, map }) =>
      mapFrame(context, map, J, {
        label: `Gradient of ${name} at channel ${c}`,
        caption: words(c),
        scale,
      }),
    );
    return html`<h4>${classLabel(context, k)}</h4>${tiles(maps)}`;
  });
  return {
    id: 'gradients',
    title: 'Gradients of each class',
    prose: html`How the logit of a class changes with each activation, from one backward pass for all classes. Of each
      class, the ${Math.min(C, CHANNELS.gradients)} channels that matter most to it. Where the layer is followed by
      nothing but an average over its pixels and a linear layer, all pixels of a channel have one gradient.`,
    paper: { steps: ['gradients'], body: html`${rows}${scaleBar(context, scale)}` },
  };
}

function importancePanel(context: Context): Panel {
  return {
    id: 'importance',
    title: 'Channel importance',
    prose: html`One number for each class and channel: the mean of its gradients. All bars of a column have one scale.
      The authors' library multiplies one shared activation tensor in place, so there each class carries the
      <em>product</em> of its own importance and those of all classes before it.`,
    paper: { steps: ['alpha'], body: importanceCharts(context, 'alpha') },
    reference: { steps: ['reference_alpha'], body: importanceCharts(context, 'reference_alpha') },
  };
}

function importanceCharts(context: Context, name: StepName): Html {
  const { data, shape } = stepOf(context.study, name);
  const [, C = 1] = shape;
  const { low, high } = scaleOf(data);
  const most = Math.max(-low, high);
  const start = argLargest(rowOf(stepOf(context.study, 'alpha').data, 0, C), Math.abs);
  const charts = context.study.classes.map((explained, k) => {
    const values = rowOf(data, k, C);
    const strongest = largest(values.map(Math.abs), 3).map((c) => `${c} (${formatNumber(at(values, c))})`);
    const chart = html`<svg viewBox="0 0 ${C} 100" preserveAspectRatio="none" role="img"
      aria-label="Importance of ${C} channels for ${explained.name}; strongest: ${strongest.join(', ')}"><path
      class="zero" d="M0 50H${C}"/><path d="${chartPath(values, most)}" fill="${hexOf(classColour(k))}"/></svg>`;
    const ticks = [most, 0, -most].map((value) => html`<span>${formatNumber(value)}</span>`);
    const framed = frame({
      content: chart,
      label: `Channel importance of ${explained.name}`,
      caption: html`${classLabel(context, k)}<span class="note">strongest: ${strongest.join(', ')}</span>`,
      grid: [1, C],
      values,
      group: 'channel',
      kind: 'chart',
      ...(k === 0 && { start }),
    });
    return html`<div class="charted"><div class="ticks" aria-hidden="true">${ticks}</div>${framed}</div>`;
  });
  return html`<p class="note">At <span data-place="channel">the channel under the pointer</span>, of
    ${C}:</p>${charts}`;
}

/** The outline of bars around a zero line at 50, one for each value; `most` is at the top. */
function chartPath(values: Float32Array, most: number): string {
  const heights = Array.from(values, (value) => (50 - (most > 0 ? (48 * value) / most : 0)).toFixed(1));
  return `M0 50${heights.map((y) => `V${y}h1`).join('')}V50z`;
}

function classMapsPanel(context: Context): Panel {
  const start = peakPixel(context);
  return {
    id: 'class-maps',
    title: 'Class maps',
    prose: html`The activations weighted by their importance: where the image speaks for a class (red) and against it
      (blue).`,
    paper: { steps: ['R'], body: classMapFrames(context, 'R', 'R', start) },
    reference: { steps: ['reference_R'], body: classMapFrames(context, 'reference_R', 'R of the reference') },
  };
}

/** The pixel with the largest value of the fused map: the page starts there. */
function peakPixel({ study }: Context): number {
  const { data, shape } = stepOf(study, `fm_g_cam_${study.activation}`);
  const [, I = 1, J = 1] = shape;
  return argLargest(data) % (I * J);
}

function winnersPanel(context: Context): Panel {
  const alone = context.study.classes.length === 1;
  const steps = (...names: StepName[]) => names.filter((name) => context.study.steps.has(name));
  return {
    id: 'winners',
    title: 'Who wins each pixel, and by how much',
    prose: alone
      ? html`There is one class only, so it wins every pixel; with two or more, the one with the largest value does.`
      : html`The class with the largest value wins the pixel, even where that value is negative. The margin is its
        lead over the second: where it is small, the picture could as well have the other hue. In the first map the
        stronger the hue, the larger the margin.`,
    paper: { steps: steps('winner', 'margin'), body: winners(context, 'winner', 'margin') },
    reference: {
      steps: steps('reference_winner', 'reference_margin'),
      body: winners(context, 'reference_winner', 'reference_margin'),
    },
  };
}

const PALE: Rgb = [235, 235, 235];

function winners(context: Context, winnerName: StepName, marginName: StepName): Html {
  const { study } = context;
  const winner = stepOf(study, winnerName);
  const [, I = 1, J = 1] = winner.shape;
  const margin = study.steps.get(marginName);
  const lead = margin && summaryOf(margin.data).max;
  const strength = (i: number) => (margin && lead ? Math.sqrt(at(margin.data, i) / lead) : 1);
  const positions = Array.from(winner.data, (_, i) => i);
  const hues = heatMap(positions, J, (i) => mix(PALE, classColour(at(winner.data, i)), strength(i)));
  const shares = study.classes.map(({ name }, k) => ({
    name,
    k,
    pixels: winner.data.reduce((count, rank) => count + (rank === k ? 1 : 0), 0),
  }));
  const text = shares.map(({ name, pixels }) => `${name} ${pixels}`).join(', ');
  const winnerFrame = frame({
    content: picture(context, hues, `Winners of the ${I * J} pixels: ${text}`),
    label: `Winner of each of ${I} x ${J} pixels`,
    caption: words('winner'),
    grid: [I, J],
    values: winner.data,
    names: study.classes.map(({ name }) => name),
  });
  const scale = margin && scaleOf(margin.data);
  const marginFrame =
    margin && scale ? mapFrame(context, margin.data, J, { label: 'Margin', caption: words('margin'), scale }) : html``;
  const legend = shares.map(({ k, pixels }) => html`<li>${classLabel(context, k)} ${pixels} px</li>`);
  return html`<div class="tiles large">${winnerFrame}${marginFrame}</div><ul
    class="shares">${legend}</ul>${scale ? scaleBar(context, scale) : ''}`;
}

function fusedPanel(context: Context): Panel {
  return {
    id: 'fused',
    title: 'The fused tensor',
    prose: html`Every class keeps the pixels that it wins and is zero elsewhere; the K maps together are one tensor.
      Where no class has a positive value, the least negative one is kept, and the ReLU removes it later.`,
    paper: { steps: ['S', 'S_fused'], body: classMapFrames(context, 'S_fused', 'S') },
    reference: { steps: ['reference_S'], body: classMapFrames(context, 'reference_S', 'S of the reference') },
  };
}

function normalisedPanel(context: Context): Panel {
  const { norm } = summaryOf(stepOf(context.study, 'S_fused').data);
  return {
    id: 'normalised',
    title: 'Normalisation',
    prose: html`The whole tensor is divided by one number, its L2 norm (here ${formatNumber(norm)}), so nothing
      changes but the scale. The library divides each <em>column</em> of pixels of each class by the norm of that
      column: a column of small values ends up as strong as one of large values.`,
    paper: { steps: ['S_normalised'], body: classMapFrames(context, 'S_normalised', 'S normalised') },
    reference: {
      steps: ['reference_S_normalised'],
      body: classMapFrames(context, 'reference_S_normalised', 'S of the reference, normalised'),
    },
  };
}

function withoutNormPanel(context: Context): Panel {
  const { activation } = context.study;
  const [maps, raw, other] = [`fm_g_cam_${activation}`, 'unnormalised', `reference_${activation}`] as const;
  const { max } = summaryOf(stepOf(context.study, maps).data);
  const unscaled = summaryOf(stepOf(context.study, raw).data).max;
  const own =
    activation === 'relu'
      ? 'it is the same picture, because one norm is one factor'
      : 'only what the activation bends differs';
  return {
    id: 'without-norm',
    title: 'Normalisation left out (figure 3)',
    prose: html`The same activation of the tensor before normalisation. On the scale of the normalised map its largest
      value is ${formatNumber(unscaled)} instead of ${formatNumber(max)}; scaled to its own maximum,
      ${own}. In the library, with a norm for each column, leaving the norms out does change the picture.`,
    paper: {
      steps: [maps, raw],
      body: tiles([
        overlayFrame(context, maps, 'normalised', { side: OVERLAY.small }),
        overlayFrame(context, raw, 'not normalised, same scale', { side: OVERLAY.small, fullScale: max }),
        overlayFrame(context, raw, 'not normalised, own scale', { side: OVERLAY.small }),
      ]),
    },
    reference: {
      steps: [other, 'reference_no_enhance'],
      body: tiles([
        overlayFrame(context, other, 'normalised by column', { side: OVERLAY.small }),
        overlayFrame(context, 'reference_no_enhance', 'not normalised', { side: OVERLAY.small }),
      ]),
    },
  };
}

function activationPanel(context: Context): Panel {
  const least = summaryOf(stepOf(context.study, 'S_normalised').data).min;
  const here =
    least < 0
      ? `Here the normalised tensor goes down to ${formatNumber(least)}.`
      : "Here no pixel of the paper's tensor is negative, so its ELU is its ReLU.";
  const side = (prefix: 'fm_g_cam' | 'reference'): Side => {
    const named = ACTIVATIONS.map((name) => ({ step: `${prefix}_${name}` as const, title: ACTIVATION_NAMES[name] }));
    const overlays = named.map(({ step, title }) => overlayFrame(context, step, title, { side: OVERLAY.small }));
    const maps = named.map(({ step, title }) => html`<h4>${title}</h4>${classMapFrames(context, step, title)}`);
    return { steps: named.map(({ step }) => step), body: html`${tiles(overlays)}${maps}` };
  };
  return {
    id: 'activation',
    title: 'Activation (figure 5)',
    prose: html`The ReLU keeps what speaks for a class. ELU and GELU let some of what is negative through; in the
      paper's reading that stays below zero and out of the picture, in the library's it is stretched to [0,1] with the
      rest, and zero with it. ${here}`,
    paper: side('fm_g_cam'),
    reference: side('reference'),
  };
}

const ACTIVATION_NAMES = { relu: 'ReLU', elu: 'ELU', gelu: 'GELU' } as const;

function overlayPanel(context: Context): Panel {
  const { activation } = context.study;
  const side = (...steps: [...StepName[], StepName]): Side => {
    const name = at(steps, steps.length - 1);
    const painted = overlayFrame(context, name, 'FM-G-CAM', { side: OVERLAY.large });
    return { steps, body: html`<div class="single">${painted}</div>${opacityScales(context, name)}` };
  };
  return {
    id: 'overlay',
    title: 'The picture',
    prose: html`The maps, upsampled bilinearly, over the photograph: each pixel has the hue of the class with the
      largest value there, at an opacity in proportion to that value.`,
    paper: side(`fm_g_cam_${activation}`),
    reference: side('reference_activated', `reference_${activation}`),
  };
}

/** For each class, how its hue stands for values. */
function opacityScales(context: Context, name: StepName): Html {
  const { max } = summaryOf(stepOf(context.study, name).data);
  if (!(max > 0)) return html`<p class="note">No pixel speaks for any of the classes.</p>`;
  const grey: Rgb = [150, 150, 150];
  const rows = context.study.classes.map((_, k) => {
    const levels = heatMap(
      Array.from({ length: 32 }, (_, i) => i / 31),
      32,
      (value) => mix(grey, classColour(k), value),
    );
    return html`<div class="scale hue">${classLabel(context, k)}${picture(context, levels, '')}</div>`;
  });
  const ticks = [0, 0.5, 1].map((fraction) => html`<span>${formatNumber(fraction * max)}</span>`);
  return html`${rows}<div class="scale hue"><span class="class"></span><div class="ticks">${ticks}</div></div>`;
}

function gradCamPanel(context: Context): Panel {
  return {
    id: 'grad-cam',
    title: 'For comparison: Grad-CAM',
    prose: html`Each class for itself: the positive part of its class map, times the number of channels. No class
      knows of the others.`,
    paper: { steps: ['grad_cam'], body: classMapFrames(context, 'grad_cam', 'Grad-CAM') },
  };
}

/** The fused maps of a step over the photograph. */
export function overlayFrame(
  context: Context,
  name: StepName,
  caption: string,
  { side, fullScale }: { readonly side: number; readonly fullScale?: number },
): Html {
  const { data, shape } = stepOf(context.study, name);
  const [K = 1, I = 1, J = 1] = shape;
  const { photo, region } = photoAt(context.study, side);
  const maps = Array.from({ length: K }, (_, k): OverlayMap => ({ data: rowOf(data, k, I * J), height: I, width: J }));
  const painted = overlayFused(photo, maps, { region, ...(fullScale !== undefined && { fullScale }) });
  const { width, height } = photo;
  return frame({
    content: picture(
      context,
      painted,
      `${caption}: the maps of ${context.study.classes.map((c) => c.name).join(', ')} over the photograph`,
    ),
    label: `${caption}, over the photograph`,
    caption: words(caption),
    grid: [I, J],
    region: { x: region.x / width, y: region.y / height, width: region.width / width, height: region.height / height },
    kind: 'photo',
  });
}

function joined(maps: readonly Float32Array[]): Float32Array {
  return Float32Array.from(maps.flatMap((map) => Array.from(map)));
}
