import type { StepName } from '../cam/trace.ts';
import { at } from '../tensor/shape.ts';
import { table } from './frames.ts';
import { type Html, html } from './html.ts';
import { argLargest, formatNumber, summaryOf } from './numbers.ts';
import { type Study, stepOf } from './study.ts';

/* Where mode `reference`, what the authors' library computes, departs from the paper. */

export interface Departure {
  readonly paper: StepName;
  readonly reference: StepName;
  /** The largest absolute difference. */
  readonly largest: number;
  readonly where: string;
  /** ||paper - reference||_2 / ||paper||_2 */
  readonly relative: number;
  /** How many of the values differ. */
  readonly differing: number;
  readonly count: number;
}

/** What the reference has in place of each step, in order. */
export function departures(study: Study): Departure[] {
  const { activation } = study;
  const pairs: readonly (readonly [StepName, StepName])[] = [
    ['alpha', 'reference_alpha'],
    ['R', 'reference_R'],
    ['winner', 'reference_winner'],
    ['margin', 'reference_margin'],
    ['S', 'reference_S'],
    ['S_normalised', 'reference_S_normalised'],
    [`fm_g_cam_${activation}`, 'reference_activated'],
    [`fm_g_cam_${activation}`, `reference_${activation}`],
  ];
  return pairs
    .filter(([paper]) => study.steps.has(paper))
    .map(([paper, reference]) => departure(study, paper, reference));
}

export function departure(study: Study, paper: StepName, reference: StepName): Departure {
  const [expected, actual] = [stepOf(study, paper), stepOf(study, reference)];
  const difference = expected.data.map((value, i) => value - at(actual.data, i));
  const position = argLargest(difference, Math.abs);
  const norm = summaryOf(expected.data).norm;
  return {
    paper,
    reference,
    largest: Math.abs(at(difference, position)),
    where: placeOf(study, expected.shape, position),
    relative: summaryOf(difference).norm / (norm || 1),
    differing: difference.reduce((count, value) => count + (value === 0 ? 0 : 1), 0),
    count: difference.length,
  };
}

/** A position in [K,C], [1,I,J] or [K,I,J] in words. */
function placeOf({ classes }: Study, shape: readonly number[], position: number): string {
  const size = shape.slice(1).reduce((product, length) => product * length, 1);
  const [k, rest] = [Math.floor(position / size), position % size];
  const of = at(shape, 0) === 1 && classes.length > 1 ? '' : `${at(classes, k).name}, `;
  if (shape.length === 2) return `${of}channel ${rest}`;
  const columns = at(shape, 2);
  return `${of}row ${Math.floor(rest / columns)}, column ${rest % columns}`;
}

/** Where one step departs, in a sentence. */
export function departureNote({ paper, reference, largest, where, relative, differing, count }: Departure): Html {
  if (differing === 0)
    return html`<p class="departs same"><code>${reference}</code> equals <code>${paper}</code>, value for value.</p>`;
  if (paper === 'winner') return html`<p class="departs">Another winner at ${differing} of ${count} pixels.</p>`;
  return html`<p class="departs"><code>${reference}</code> against <code>${paper}</code>: largest difference
    <strong>${formatNumber(largest)}</strong> (${where}), relative L2 ${formatNumber(relative)}.</p>`;
}

export function departureTable(study: Study): Html {
  const rows = departures(study).map(({ paper, reference, largest, where, relative, differing, count }) => {
    const numbers =
      paper === 'winner'
        ? html`<td colspan="2">another winner at ${differing} of ${count} pixels</td><td></td>`
        : html`<td>${formatNumber(largest)}</td><td>${differing === 0 ? '' : where}</td><td>${formatNumber(relative)}</td>`;
    return html`<tr><th scope="row"><code>${paper}</code></th><td><code>${reference}</code></td>${numbers}</tr>`;
  });
  return table(['paper', 'reference', 'largest difference', 'where', 'relative L2'], rows);
}
