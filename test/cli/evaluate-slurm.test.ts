import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism, hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePng } from '../../src/image/encode.ts';
import { filledImage } from '../../src/image/image.ts';
import { fmgcam, MODEL, ON_CPU } from '../support/command.ts';
import { describeShared } from '../support/shared.ts';

/* deploy/slurm.sh on a real Slurm: one node, with a controller and an authentication service of its own. */

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue'];
const PATH = `${process.env.PATH}:/usr/sbin:/sbin`;
const absent = PROGRAMS.filter((name) => spawnSync('which', [name], { env: { PATH } }).status !== 0);
const missing = absent.length > 0 ? `no ${absent.join(', ')}; install slurm-wlm and munge` : undefined;
if (missing && process.env.CI) throw new Error(`CI must have Slurm: ${missing}`);

const local = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SHARDS = 3;
const IMAGES = 7;

describe.skipIf(missing !== undefined)(missing ? `Slurm (skipped: ${missing})` : 'Slurm', () => {
  describeShared('with a trained network', () => {
    let folder = '';
    let env: Record<string, string> = {};
    const daemons: ChildProcess[] = [];

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'fmgcam-slurm-'));
      chmodSync(folder, 0o755);
      env = { ...(process.env as Record<string, string>), PATH, SLURM_CONF: join(folder, 'slurm.conf') };
      const [controllerPort, nodePort] = [await freePort(), await freePort()];
      writeFileSync(join(folder, 'slurm.conf'), configuration(folder, controllerPort, nodePort));
      writeFileSync(join(folder, 'munge.key'), randomBytes(1024), { mode: 0o400 });
      const at = (name: string) => join(folder, name);
      start('munged', [
        '--foreground',
        '--force',
        `--key-file=${at('munge.key')}`,
        `--socket=${at('munge.socket')}`,
        `--pid-file=${at('munged.pid')}`,
        `--seed-file=${at('munged.seed')}`,
        `--log-file=${at('munged.log')}`,
      ]);
      await until(() => readdirSync(folder).includes('munge.socket'), 'munged');
      start('slurmctld', ['-D', '-c', '-f', at('slurm.conf')]);
      start('slurmd', ['-D', '-N', 'node1', '-f', at('slurm.conf')]);
      await until(() => /idle/.test(run('sinfo', ['--noheader', '--format=%T'])), 'the node');
    });

    afterAll(async () => {
      for (const daemon of daemons.toReversed()) {
        const ended = new Promise((resolve) => daemon.once('close', resolve));
        if (daemon.exitCode === null && daemon.kill()) await ended;
      }
      rmSync(folder, { recursive: true, force: true });
    });

    function start(program: string, args: readonly string[]): void {
      daemons.push(spawn(program, args, { env, stdio: 'ignore' }));
    }

    function run(program: string, args: readonly string[]): string {
      const { stdout, stderr, status } = spawnSync(program, args, { env, encoding: 'utf8' });
      return status === 0 ? stdout : stderr;
    }

    /** The name of the log of each task that has written one, and what it says. */
    const logs = () =>
      readdirSync(folder)
        .filter((name) => /^(?:task|slurm).*\.log$/.test(name))
        .map((name) => `${name}: ${readFileSync(join(folder, name), 'utf8').slice(-600)}`)
        .join('\n');

    async function submit(...args: string[]): Promise<void> {
      const submitted = run('sbatch', ['--parsable', `--chdir=${folder}`, `--output=${folder}/task-%a.log`, ...args]);
      expect(submitted, logs()).toMatch(/^\d+/);
      await until(() => run('squeue', ['--noheader']).trim() === '', 'the jobs');
    }

    it('an array of shards, one of them submitted again, merges to what one run gives', {
      timeout: 120_000,
    }, async () => {
      const images = join(folder, 'images');
      mkdirSync(images);
      for (let i = 0; i < IMAGES; i++)
        writeFileSync(join(images, `${i}.png`), await encodePng(filledImage(9 + i, 12, [30 * i, 90, 250 - 30 * i])));
      const options = [...MODEL, '--protocol', 'described', '--size', '16', '--topk', '2', '--steps', '3', ...ON_CPU];
      const script = [local('../../deploy/slurm.sh'), String(SHARDS), join(folder, 'results'), images, ...options];
      env.FMGCAM = `${process.execPath} ${local('../../dist/cli/main.js')}`;

      // The last shard is submitted by itself, as after a failure.
      await submit('--array=0-1', ...script);
      await submit('--array=2', ...script);
      const shards = Array.from({ length: SHARDS }, (_, i) => join(folder, 'results', `shard-${i}.jsonl`));
      expect(readdirSync(join(folder, 'results')).sort(), logs()).toEqual([
        'shard-0.jsonl',
        'shard-1.jsonl',
        'shard-2.jsonl',
      ]);

      const whole = join(folder, 'whole.jsonl');
      const one = await fmgcam(['evaluate', images, ...options, '--out', whole]);
      const merged = await fmgcam(['merge', ...shards, '--out', join(folder, 'merged.jsonl')]);
      expect(merged.status, merged.stderr.join('\n')).toBe(0);
      expect(merged.stdout).toBe(one.stdout);
    });
  });
});

/** A cluster of this machine; no groups of processes, no limits, no accounting. */
function configuration(folder: string, controllerPort: number, nodePort: number): string {
  const user = userInfo().username;
  return `ClusterName=test
SlurmctldHost=${hostname()}(127.0.0.1)
SlurmctldPort=${controllerPort}
SlurmdPort=${nodePort}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge.socket
CredType=cred/munge
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
NodeName=node1 NodeAddr=127.0.0.1 NodeHostname=${hostname()} Port=${nodePort} CPUs=${Math.max(2, availableParallelism())}
PartitionName=all Nodes=node1 Default=YES State=UP
`;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}

async function until(done: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 50_000;
  while (!done()) {
    if (Date.now() > end) throw new Error(`${what} is not ready after 50 s`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
