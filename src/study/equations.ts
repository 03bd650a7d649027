import type { StepName } from '../cam/trace.ts';
import { type Content, type Html, html } from './html.ts';

/* The equations of the paper in MathML Core, which browsers typeset by themselves. */

const i = (name: string) => html`<mi>${name}</mi>`;
const n = (number: string) => html`<mn>${number}</mn>`;
const o = (operator: string) => html`<mo>${operator}</mo>`;
const words = (text: string) => html`<mtext>${text}</mtext>`;
const row = (...parts: Content[]) => html`<mrow>${parts}</mrow>`;
const sub = (base: Html, index: Html) => html`<msub>${base}${index}</msub>`;
const sup = (base: Html, index: Html) => html`<msup>${base}${index}</msup>`;
const subsup = (base: Html, below: Html, above: Html) => html`<msubsup>${base}${below}${above}</msubsup>`;
const fraction = (above: Html, below: Html) => html`<mfrac>${above}${below}</mfrac>`;
const under = (operator: string, index: Html) => html`<munder><mo>${operator}</mo>${index}</munder>`;
const accented = (name: string, accent: string) =>
  html`<mover accent="true"><mi>${name}</mi><mo stretchy="false">${accent}</mo></mover>`;
const plain = (bracket: string) => html`<mo stretchy="false">${bracket}</mo>`;
/** A function of something as high as a letter. */
const call = (name: string, ...parts: Content[]) => row(i(name), plain('('), ...parts, plain(')'));
/** A function of something higher. */
const tallCall = (name: string, ...parts: Content[]) => row(i(name), o('('), ...parts, o(')'));
const norm = (...parts: Content[]) => sub(row(o('‖'), ...parts, o('‖')), n('2'));

const [k, l, c, ij] = [i('k'), i('l'), i('c'), row(i('i'), i('j'))];
const alpha = (above: Html) => subsup(i('α'), c, above);
const product = (above: Html) => subsup(accented('α', '~'), c, above);
const R = (above: Html) => subsup(i('R'), ij, above);
const referenceR = (above: Html) => subsup(accented('R', '~'), ij, above);
const gradient = fraction(row(o('∂'), sup(i('y'), k)), row(o('∂'), subsup(i('a'), ij, c)));
const primed = row(i('S'), html`<mo lspace="0" rspace="0">′</mo>`);
const quotient = fraction(primed, norm(primed));
const normalisedReference = subsup(accented('S', '^'), ij, k);
const columnQuotient = fraction(
  subsup(accented('S', '~'), ij, k),
  tallCall('max', norm(subsup(accented('S', '~'), row(o('·'), i('j')), k)), o(','), sup(n('10'), row(o('−'), n('12')))),
);
const tableRow = (...cells: Html[]) => html`<mtr>${cells.map((cell) => html`<mtd>${cell}</mtd>`)}</mtr>`;
const cases = (whole: Html, kept: Html, condition: Html, otherwise: Html) =>
  row(whole, o('='), html`<mo>{</mo><mtable>${tableRow(kept, condition)}${tableRow(n('0'), otherwise)}</mtable>`);
const stretched = (s: Html) =>
  row(fraction(row(s, o('−'), call('min', s)), row(call('max', s), o('−'), call('min', s))), o(','));
const referenceMap = (activation: string) =>
  row(stretched(i('s')), html`<mspace width="1em"/>`, i('s'), o('='), call(activation, accented('S', '^')));
const meanOver = (weight: Html) => row(fraction(n('1'), i('C')), under('∑', c), weight, sup(i('a'), c));

/** The equation of each step. */
export const EQUATIONS: Readonly<Record<StepName, Html>> = {
  input: row(i('x'), o('∈'), sup(i('ℝ'), row(n('3'), o('×'), i('H'), o('×'), i('W')))),
  activations: row(sup(i('a'), c), o('∈'), sup(i('ℝ'), row(i('I'), o('×'), i('J')))),
  logits: sup(i('y'), i('n')),
  probs: row(
    call('P', i('n')),
    o('='),
    fraction(sup(i('e'), sup(i('y'), i('n'))), row(under('∑', i('m')), sup(i('e'), sup(i('y'), i('m'))))),
  ),
  top: row(
    sup(i('N'), o('*')),
    o('='),
    o('{'),
    subsup(i('n'), k, o('*')),
    o(':'),
    call('P', subsup(i('n'), n('1'), o('*'))),
    o('≥'),
    o('…'),
    o('≥'),
    call('P', subsup(i('n'), i('K'), o('*'))),
    o('}'),
  ),
  gradients: gradient,
  alpha: row(alpha(k), o('='), fraction(n('1'), row(i('I'), o('×'), i('J'))), under('∑', ij), gradient),
  R: row(sup(i('R'), k), o('='), meanOver(alpha(k))),
  winner: row(words('winner'), o('='), under('arg max', k), R(k)),
  margin: row(words('margin'), o('='), under('max', k), R(k), o('−'), words('the second largest')),
  S: cases(
    subsup(i('S'), ij, k),
    R(k),
    row(words('if\u00a0'), R(k), o('='), under('max', l), R(l)),
    words('otherwise'),
  ),
  S_fused: row(primed, o('='), o('['), sup(i('S'), n('1')), o('…'), sup(i('S'), i('K')), o(']')),
  S_normalised: quotient,
  fm_g_cam_relu: tallCall('ReLU', quotient),
  fm_g_cam_elu: tallCall('ELU', quotient),
  fm_g_cam_gelu: tallCall('GELU', quotient),
  unnormalised: call('activation', primed),
  grad_cam: tallCall('ReLU', under('∑', c), alpha(k), sup(i('a'), c)),
  reference_alpha: row(
    product(k),
    o('='),
    html`<munderover><mo>∏</mo>${row(l, o('='), n('1'))}${k}</munderover>`,
    alpha(l),
  ),
  reference_R: row(sup(accented('R', '~'), k), o('='), meanOver(product(k))),
  reference_winner: row(words('winner'), o('='), under('arg max', k), referenceR(k)),
  reference_margin: row(words('margin'), o('='), under('max', k), referenceR(k), o('−'), words('the second largest')),
  reference_S: cases(
    subsup(accented('S', '~'), ij, k),
    referenceR(k),
    row(words('if\u00a0'), k, o('='), under('arg max', l), referenceR(l)),
    words('otherwise'),
  ),
  reference_S_normalised: row(normalisedReference, o('='), columnQuotient),
  reference_activated: row(i('s'), o('='), call('activation', accented('S', '^'))),
  reference_relu: referenceMap('ReLU'),
  reference_elu: referenceMap('ELU'),
  reference_gelu: referenceMap('GELU'),
  reference_no_enhance: row(
    stretched(i('s')),
    html`<mspace width="1em"/>`,
    i('s'),
    o('='),
    call('activation', accented('S', '~')),
  ),
};
