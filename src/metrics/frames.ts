import { UsageError } from '../errors.ts';
import { concat, softmax } from '../kernels/index.ts';
import { type Scope, tidy, withScope } from '../tensor/scope.ts';
import { at, formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { ScoreKind } from './settings.ts';

/** Scores of a batch of pictures: [N,C,H,W] -> [N, classes]. A network's `forward` is one. */
export type ScoreFunction = (batch: Tensor) => Tensor;

/** Pictures to be scored that are not made before they are needed. */
export interface Frames {
  readonly count: number;
  /** Pictures `from` (inclusive) to `to` (exclusive), [to - from, C, H, W]. */
  readonly build: (from: number, to: number) => Tensor;
}

/** For each picture, the scores of all classes. */
export type Scores = readonly ArrayLike<number>[];

export interface ScoringOptions {
  /** The most pictures in one forward pass; the device decides when left out. */
  readonly batchSize?: number;
  /** Stops before the next forward pass, by throwing the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * Scores all pictures in as few forward passes as the batch size allows: pictures of different origin share a pass.
 * @returns for each of `sources`, the scores of its pictures
 */
export async function scoreFrames(
  score: ScoreFunction,
  kind: ScoreKind,
  sources: readonly Frames[],
  { batchSize, signal }: ScoringOptions & { readonly batchSize: number },
): Promise<Scores[]> {
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new UsageError(`batchSize is ${batchSize}; use a whole number of 1 or more`);
  const scores: ArrayLike<number>[][] = sources.map(() => []);
  for (const batch of batchesOf(sources, batchSize)) {
    signal?.throwIfAborted();
    const rows = await withScope((scope) => scoreBatch(score, kind, batch, sources, scope));
    for (const { source, from, to } of batch) scores[source]?.push(...rows.splice(0, to - from));
  }
  return scores;
}

/** A part of a batch: pictures `from` to `to` of a source. */
interface Part {
  readonly source: number;
  readonly from: number;
  readonly to: number;
}

function* batchesOf(sources: readonly Frames[], batchSize: number): Generator<Part[]> {
  let batch: Part[] = [];
  let room = batchSize;
  for (const [source, { count }] of sources.entries()) {
    for (let from = 0; from < count; ) {
      const to = Math.min(count, from + room);
      batch.push({ source, from, to });
      room -= to - from;
      from = to;
      if (room > 0) continue;
      yield batch;
      batch = [];
      room = batchSize;
    }
  }
  if (batch.length > 0) yield batch;
}

async function scoreBatch(
  score: ScoreFunction,
  kind: ScoreKind,
  parts: readonly Part[],
  sources: readonly Frames[],
  scope: Scope,
): Promise<ArrayLike<number>[]> {
  const pieces = parts.map(({ source, from, to }) => at(sources, source).build(from, to));
  for (const piece of pieces) piece.moveTo(scope);
  const pictures = pieces.length === 1 ? at(pieces, 0) : concat(pieces, 0);
  const raw = score(pictures);
  if (raw.scope !== scope) raw.moveTo(scope);
  const [N = 0, classes = 0] = raw.shape;
  if (raw.rank !== 2 || N !== pictures.shape[0] || classes === 0)
    throw new UsageError(
      `the score of ${formatShape(pictures.shape)} must be [${pictures.shape[0]}, classes], not ${formatShape(raw.shape)}`,
    );
  const values = await (kind === 'softmax' ? tidy([raw], (logits) => softmax(logits, 1)) : raw).data();
  return Array.from({ length: N }, (_, n) => values.slice(n * classes, (n + 1) * classes));
}
