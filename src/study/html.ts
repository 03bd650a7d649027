import { escapeMarkup } from '../image/svg.ts';

/** Text that is markup already, and so goes into other markup as it is. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What can be put into markup. Strings are escaped. */
export type Content = Html | string | number | readonly Content[];

/** Markup with values in it: html`<b title="${name}">${name}</b>` is safe whatever the name. Quote attributes. */
export function html(template: TemplateStringsArray, ...values: readonly Content[]): Html {
  return new Html(template.map((text, i) => text + markup(values[i] ?? '')).join(''));
}

function markup(content: Content): string {
  if (content instanceof Html) return content.text;
  if (typeof content === 'string' || typeof content === 'number') return escapeMarkup(String(content));
  return content.map(markup).join('');
}
