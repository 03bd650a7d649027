import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { DeviceError, messageOf } from '../../../src/errors.ts';
import { asResults } from '../files.ts';
import type { Progress } from '../host.ts';
import { STYLE } from '../html.ts';
import type { Results } from '../results.ts';
import { isMessage, isProgress, type Job, PATHS } from './job.ts';

/* The command's side: gives out the page and the job, and takes the results in. Only this machine reaches it. */

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'";
const MOST_BYTES = 64 * 2 ** 20;
const [OK, BAD_REQUEST, FORBIDDEN, NOT_FOUND, CONFLICT] = [200, 400, 403, 404, 409];

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,"><title>WebGPU benchmark</title>
<style>${STYLE}
body { max-width: 1280px; }
progress { width: 100%; height: .8rem; accent-color: #0072b2; }
#status { font-weight: 600; margin: .3rem 0 1rem; } [data-state=failed] #status { color: #b3261e; } [data-state=done] #status { color: #00674c; }
</style></head><body>
<h1>Convolutions on WebGPU, each in every variant</h1>
<p class="note">Each is compared with the sums on the CPU, then timed. Keep this page in front, and leave the machine alone meanwhile. What the library would choose has a star.</p>
<progress id="bar" value="0" max="1" aria-label="layers measured"></progress>
<p id="status" role="status">starting</p>
<div id="where"></div>
<p><button id="save" disabled>save as JSON</button></p>
<div id="table" class="wide"></div>
<script type="module" src="page.js"></script>
</body></html>
`;

export interface Service {
  /** The page's script; Deno has its own. */
  readonly script: string;
  readonly job: Omit<Job, 'session' | 'before'>;
  readonly before: Results | undefined;
  readonly save: (results: Results) => void;
  readonly report: (progress: Progress) => void;
}

export class ResultsServer {
  readonly #server: Server;
  readonly #service: Service;
  #session = '';
  #latest: Results | undefined;
  #resolve: (results: Results) => void = () => {};
  #reject: (error: Error) => void = () => {};
  /** All that was measured, when whoever measures is done. */
  readonly finished = new Promise<Results>((resolve, reject) => {
    this.#resolve = resolve;
    this.#reject = reject;
  });

  private constructor(service: Service) {
    this.#service = service;
    this.#latest = service.before;
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async open(service: Service): Promise<ResultsServer> {
    const opened = new ResultsServer(service);
    // Whoever waits for it hears of it; that may be later.
    opened.finished.catch(() => {});
    await new Promise<void>((resolve, reject) => {
      opened.#server.once('error', reject).listen(0, 'localhost', resolve);
    });
    return opened;
  }

  /** With a slash at its end. */
  get address(): string {
    return `http://${this.#host}/`;
  }

  get #host(): string {
    const address = this.#server.address();
    return `localhost:${typeof address === 'object' ? address?.port : address}`;
  }

  /** Ends the waiting for results, with what was wrong. */
  fail(error: Error): void {
    this.#reject(error);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, url, headers } = request;
    const files: Record<string, readonly [type: string, content: string]> = {
      '/': ['text/html; charset=utf-8', PAGE],
      '/page.js': ['text/javascript; charset=utf-8', this.#service.script],
    };
    const file = files[url ?? ''];
    try {
      // No other site may read or post anything: none has this name, and none may post JSON without having asked.
      if (headers.host !== this.#host) return end(response, FORBIDDEN, 'use the address that the command printed');
      if (method === 'GET') return file ? page(response, ...file) : end(response, NOT_FOUND, 'there is no such page');
      if (headers['content-type'] !== 'application/json') return end(response, BAD_REQUEST, 'this is no JSON');
      const [status, content] = this.#take(url ?? '', JSON.parse(await body(request)));
      end(response, status, content);
    } catch (error) {
      end(response, BAD_REQUEST, messageOf(error));
    }
  }

  #take(path: string, message: unknown): readonly [status: number, content: string] {
    if (path === PATHS.job) {
      this.#session = randomUUID();
      const job: Job = { ...this.#service.job, session: this.#session, before: this.#latest ?? null };
      return [OK, JSON.stringify(job)];
    }
    if (!isMessage(message)) return [BAD_REQUEST, 'this is no message of the benchmark'];
    const { session, content } = message;
    if (session !== this.#session) return [CONFLICT, 'another page goes on with the measurement'];
    if (path === PATHS.results) {
      this.#latest = asResults(content, 'what was posted');
      this.#service.save(this.#latest);
    } else if (path === PATHS.progress && isProgress(content)) this.#service.report(content);
    else if (path === PATHS.done && this.#latest) this.#resolve(this.#latest);
    else if (path === PATHS.failed) this.#reject(new DeviceError(messageOf(content)));
    else return [NOT_FOUND, `nothing is known of ${path}`];
    return [OK, ''];
  }
}

/** Isolated from other sites, so that the page's clock is finer. */
function page(response: ServerResponse, type: string, content: string): void {
  response.writeHead(OK, {
    'content-type': type,
    'content-security-policy': POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-embedder-policy': 'require-corp',
    'cache-control': 'no-store',
  });
  response.end(content);
}

function end(response: ServerResponse, status: number, content: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(content);
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new DeviceError('too much was posted');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
