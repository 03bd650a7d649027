import type { Convolution } from './convolutions.ts';

/* What this project promises of its speed on the CPU and on software drivers of WebGPU, and what it hopes for. */

export interface Target {
  readonly bound: 'at most' | 'at least';
  readonly promised: number;
  /** Undefined where nothing beyond the promise is hoped for. */
  readonly stretch: number | undefined;
}

export type Verdict = 'stretch' | 'met' | 'missed';

const atMost = (promised: number, stretch?: number): Target => ({ bound: 'at most', promised, stretch });

/** Our time over a peer's, for the same network and number of threads. */
const PEER_TARGETS: readonly { peer: string; networks: string[]; threads: number[]; target: Target }[] = [
  { peer: 'onnxruntime-web', networks: ['resnet50', 'resnet18'], threads: [1, 2], target: atMost(0.4, 0.33) },
  { peer: 'tfjs-backend-wasm', networks: ['resnet50'], threads: [1], target: atMost(0.4, 0.33) },
  { peer: 'onnxruntime-node', networks: ['resnet50'], threads: [2], target: atMost(1, 0.85) },
  { peer: 'onnxruntime-node', networks: ['resnet18'], threads: [2], target: atMost(0.85, 0.75) },
  { peer: 'PyTorch', networks: ['resnet50'], threads: [2], target: atMost(0.75, 0.6) },
];

/** The names by which adapters of two software drivers are known. */
const LAVAPIPE = /llvmpipe|lavapipe/i;
const SWIFTSHADER = /swiftshader/i;

/** The same where both compute on one WebGPU adapter. */
const WEBGPU_TARGETS: readonly { peer: string; networks: string[]; adapter: RegExp; target: Target }[] = [
  { peer: 'tfjs-backend-webgpu', networks: ['resnet50', 'resnet18'], adapter: LAVAPIPE, target: atMost(0.25, 0.18) },
  { peer: 'onnxruntime-node', networks: ['resnet50'], adapter: LAVAPIPE, target: atMost(0.3, 0.2) },
];

export const TARGETS = {
  /** Microseconds that the host takes for a dispatch of WebGPU. */
  hostPerDispatch: atMost(15, 9),
  /** FM-G-CAM with K = 5 at layer4 over the forward pass alone. */
  explanationOverForward: atMost(1.08, 1.03),
  /** Any gradient method with K = 5 at layer4 over the forward pass alone. */
  methodAtLayer4: atMost(1.1, 1.03),
  /** The same at layer2. */
  methodAtLayer2: atMost(3, 2.5),
  /** Images per second of Score-CAM and Ablation-CAM over those of plain batches through the same layers. */
  throughputOfVariants: { bound: 'at least', promised: 0.8, stretch: 0.95 },
  /** The same over the algorithm of the authors' library on PyTorch. */
  explanationOverReference: atMost(0.08, 0.05),
  /** Insertion and deletion over the metrics library on PyTorch. */
  metricsOverLibrary: atMost(0.75, 0.5),
  /** Speed of a convolution over the peak of multiply-adds, on one thread. */
  fractionOfPeak: { bound: 'at least', promised: 0.8, stretch: 0.95 },
  /** The first explanation in a fresh process over a later one. */
  coldOverWarm: atMost(3, 1.5),
  /** Peak of device memory over weights and live activations; there is no stretch beyond it. */
  memoryOverFloor: atMost(1.3, 1),
} as const satisfies Record<string, Target>;

/** What is promised against a peer; undefined where it is measured for information only. */
export function peerTarget(peer: string, network: string, threads: number): Target | undefined {
  const found = PEER_TARGETS.find(
    (row) => row.peer === peer && row.networks.includes(network) && row.threads.includes(threads),
  );
  return found?.target;
}

export function webgpuTarget(peer: string, network: string, adapter: string): Target | undefined {
  const found = WEBGPU_TARGETS.find(
    (row) => row.peer === peer && row.networks.includes(network) && row.adapter.test(adapter),
  );
  return found?.target;
}

/** Our time over that of tfjs-backend-webgpu for a convolution; there is a stretch on lavapipe for 3x3 only. */
export function convolutionTarget({ kernel }: Convolution, adapter: string): Target | undefined {
  if (LAVAPIPE.test(adapter)) return atMost(0.25, kernel === 3 ? 0.15 : undefined);
  return SWIFTSHADER.test(adapter) ? atMost(0.08, 0.05) : undefined;
}

export function judge(value: number, { bound, promised, stretch }: Target): Verdict {
  const reaches = (limit: number) => (bound === 'at most' ? value <= limit : value >= limit);
  if (stretch !== undefined && reaches(stretch)) return 'stretch';
  return reaches(promised) ? 'met' : 'missed';
}
