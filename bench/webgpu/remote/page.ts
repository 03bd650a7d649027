import { messageOf } from '../../../src/errors.ts';
import { htmlList, htmlTable } from '../html.ts';
import type { Results } from '../results.ts';
import { conditionsOf, layersTable } from '../tables.ts';
import { measureFor } from './client.ts';

/* What the page does, from when it is opened. */

/** An element of the page that the server wrote. */
function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no ${id}`);
}

const [status, where, table] = ['status', 'where', 'table'].map((id) => element(id, HTMLElement));
const bar = element('bar', HTMLProgressElement);
const button = element('save', HTMLButtonElement);
let latest: Results | undefined;

button.addEventListener('click', () => {
  const url = URL.createObjectURL(new Blob([`${JSON.stringify(latest)}\n`], { type: 'application/json' }));
  const link = Object.assign(document.createElement('a'), { href: url, download: 'webgpu-benchmark.json' });
  link.click();
  URL.revokeObjectURL(url);
});

function say(line: string, state: 'running' | 'done' | 'failed'): void {
  if (status) status.textContent = line;
  document.body.dataset.state = state;
  document.title = `${line} – WebGPU benchmark`;
}

function show(results: Results): void {
  latest = results;
  button.disabled = false;
  const { date, host } = results;
  const lines = [`${date}, ${host.processor}, ${host.cores} cores, ${host.system}`, ...conditionsOf(results)];
  if (where) where.innerHTML = htmlList(lines);
  if (table) table.innerHTML = results.layers.length > 0 ? htmlTable(layersTable(results)) : '';
}

function fail(message: string): void {
  const kept = latest ? '; what was measured can be saved here, and the same command goes on from its file' : '';
  say(`stopped: ${message}${kept}`, 'failed');
}

try {
  await measureFor(location.href, {
    begin: ({ runtime, system, cores }) => {
      if (where) where.innerHTML = htmlList([`${runtime}, ${system}, ${cores} cores`]);
      say('asking for the GPU', 'running');
    },
    progress: ({ line, done, total }) => {
      bar.max = total;
      bar.value = done;
      say(line, 'running');
    },
    results: show,
    done: () => {
      bar.value = bar.max;
      say('done: the command has all results, and this page may be closed', 'done');
    },
    failed: fail,
  });
} catch (error) {
  fail(messageOf(error));
}
