import { type ExplainImageOptions, explain, ImageExplanation, type ImageSource } from '../cam/explain-image.ts';
import type { StepName } from '../cam/trace.ts';
import { UsageError } from '../errors.ts';
import { base64OfBytes } from '../image/base64.ts';
import { formatPercent } from '../image/figure.ts';
import type { Model } from '../nn/model.ts';
import { readUnderPointer } from './client.ts';
import { departure, departureNote, departures, departureTable } from './departures.ts';
import { EQUATIONS } from './equations.ts';
import { type Context, classLabel, statistics } from './frames.ts';
import { Html, html } from './html.ts';
import { overlayFrame, type Panel, panels, type Side } from './panels.ts';
import { type HostStep, type Study, stepOf, studyOf } from './study.ts';
import { STYLE } from './style.ts';

const SCRIPT = `(${readUnderPointer})();`;

export type StudyOptions = Omit<ExplainImageOptions, 'mode' | 'heatmapAlpha'>;

/**
 * Algorithm 1 on a photograph as one HTML page: every step with its equation, the function that computed it, pictures
 * with the numbers under the pointer, and beside it what the authors' library computes. The page needs neither a server
 * nor a network, and its policy allows none.
 *
 * @param image a photograph, or what FM-G-CAM explained already, for which nothing runs again
 * @throws UsageError for options that do not fit, InputError for an image that cannot be read
 */
export async function studyPage(model: Model, image: ImageSource, options: StudyOptions): Promise<string>;
export async function studyPage(
  model: Model,
  explained: ImageExplanation,
  options?: Pick<StudyOptions, 'file'>,
): Promise<string>;
export async function studyPage(
  model: Model,
  source: ImageSource | ImageExplanation,
  options: StudyOptions | Pick<StudyOptions, 'file'> = {},
): Promise<string> {
  if (source instanceof ImageExplanation) return render(await studyOf(model, source, options.file ?? 'the image'));
  if (!('device' in options))
    throw new UsageError('studyPage needs a device to explain the image; give it in the options');
  using explained = await explain(model, source, options);
  return await studyPage(model, explained, options);
}

async function render(study: Study): Promise<string> {
  const { encodeRgb } = await import('../image/png-codec.ts');
  const context: Context = { study, encode: encodeRgb };
  const all = panels(context);
  const links = all.map(({ id, title }, i) => html`<li><a href="#${id}">${i + 1} ${title}</a></li>`);
  const title = `FM-G-CAM of ${study.file}, step by step`;
  const policy = [
    "default-src 'none'",
    'img-src data:',
    `style-src '${await hashOf(STYLE)}'`,
    `script-src '${await hashOf(SCRIPT)}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
${pageHeader(context)}
<nav aria-label="Steps"><ol>${links}<li><a href="#departures">Both modes</a></li></ol></nav>
<main>
${all.map((panel, i) => section(study, panel, i + 1))}
<section id="departures" aria-labelledby="departures-title">
<h2 id="departures-title">Where the two modes part</h2>
<p>Each step of the paper against what stands in its place in mode <code>reference</code>, what the authors' library
  computes. <code>reference_${study.activation}</code> is its final map, after a joint min–max.</p>
${departureTable(study)}
</section>
<p id="status" class="hidden" role="status"></p>
</main>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}

function pageHeader(context: Context): Html {
  const { study } = context;
  const legend = study.classes.map(
    ({ probability }, k) => html`<li>${classLabel(context, k)} ${formatPercent(probability)}</li>`,
  );
  const small = { side: 176 };
  return html`<header>
<div><h1>FM-G-CAM of ${study.file}, step by step</h1>
<p>Algorithm 1 on one photograph: ${study.model} at <code>${study.layer}</code>, activation ${study.activation},
  computed on ${study.device}. Point at a picture, or focus it and use the arrow keys: every picture then shows its
  number at <strong data-place="pixel">that pixel</strong>. Rows, columns and channels count from 0.</p>
<noscript><p>Scripts are off, so the pictures are here and the numbers under the pointer are not.</p></noscript>
<ul class="legend">${legend}</ul></div>
${overlayFrame(context, `fm_g_cam_${study.activation}`, 'FM-G-CAM', small)}
</header>`;
}

function section(study: Study, { id, title, prose, paper, reference }: Panel, number: number): Html {
  const heading = `${id}-title`;
  const columns = reference
    ? html`${column(study, paper, 'Paper')}
${column(study, reference, "Reference: the authors' library", notes(study, reference))}`
    : column(study, paper);
  return html`<section id="${id}" aria-labelledby="${heading}">
<h2 id="${heading}"><span class="number">${number}</span>${title}</h2>
<p>${prose}</p>
<div class="columns">${columns}</div>
</section>`;
}

/** Its parts are rows of the panel, so that those of two columns stand side by side. */
function column(study: Study, { steps, body }: Side, heading = '', notes: readonly Html[] = []): Html {
  const described = steps.map((name) => stepOf(study, name));
  return html`<div class="column"><h3>${heading}</h3>
<div>${described.map(equationBox)}</div>
<div>${body}</div>
<div>${statistics(described)}</div>
<div>${notes}</div></div>`;
}

function equationBox({ name, formula, computedBy, equation }: HostStep): Html {
  const which = equation === undefined ? '' : html`equation ${equation} · `;
  return html`<div class="equation"><math display="block" alttext="${formula}">${EQUATIONS[name]}</math><span
    class="by">${which}<code>${computedBy}</code></span></div>`;
}

/** Where the steps of a column depart from those of the paper. */
function notes(study: Study, { steps }: Side): readonly Html[] {
  const known = new Map(departures(study).map((found) => [found.reference, found]));
  return steps.flatMap((name) => known.get(name) ?? counterpart(study, name) ?? []).map(departureNote);
}

/** Final maps of other activations, and without normalisation. */
function counterpart(study: Study, name: StepName): ReturnType<typeof departure> | undefined {
  if (name === 'reference_no_enhance') return departure(study, 'unnormalised', name);
  const paper = name.replace('reference', 'fm_g_cam');
  const step = [...study.steps.keys()].find((key) => key === paper);
  return step && departure(study, step, name);
}

/** As a Content-Security-Policy names a text. */
async function hashOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return `sha256-${base64OfBytes(new Uint8Array(digest))}`;
}
