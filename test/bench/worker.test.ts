import { describe, expect, it } from 'vitest';
import { attempt, Worker } from '../../bench/worker.ts';

/** A worker that runs a line of JavaScript. */
const worker = (line: string) => new Worker({ command: process.execPath, args: ['-e', line], threads: 3 });

/** A worker that answers each request with the value of an expression, in which `request` can be used. */
const answering = (expression: string) =>
  worker(`
    require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const request = JSON.parse(line);
      require('node:fs').writeSync(3, JSON.stringify(${expression}) + '\\n');
    });`);

describe('workers', () => {
  it('answers requests in order, and ends when it is told to', async () => {
    const echo = answering('{ result: request }');
    expect(await echo.request('first', [1])).toEqual({ call: 'first', argument: [1] });
    expect(await echo.request('second')).toEqual({ call: 'second', argument: null });
    await echo.stop();
  });

  it('is told the number of threads', async () => {
    const environment = answering('{ result: [process.env.FMGCAM_THREADS, process.env.OMP_NUM_THREADS] }');
    expect(await environment.request('')).toEqual(['3', '3']);
    await environment.stop();
  });

  it('passes on what went wrong', async () => {
    const failing = answering("{ error: 'no such network' }");
    expect(await attempt(failing.request('load'))).toEqual({ reason: 'no such network' });
    await failing.stop();
  });

  it('takes null for what is not a number in JSON', async () => {
    const broken = answering('{ result: [1, NaN] }');
    expect(await broken.output('forward')).toEqual([1, Number.NaN]);
    await broken.stop();
  });

  it('says so when a worker dies, or cannot be started', async () => {
    await expect(worker('process.exit(3)').request('load')).rejects.toThrow('status 3');
    const missing = new Worker({ command: '/nonexistent', args: [], threads: 1 });
    await expect(missing.request('load')).rejects.toThrow('could not be started');
    await missing.stop();
  });
});
