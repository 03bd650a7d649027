import { InputError, UsageError } from '../errors.ts';
import type { Device } from '../kernels/device.ts';
import { tidy } from '../tensor/scope.ts';
import { formatShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { ForwardPass, type Observer } from './forward-pass.ts';
import { chain } from './layers.ts';
import { type Architecture, architecture } from './models/registry.ts';
import type { Module } from './module.ts';
import type { HostArray } from './weights/host-array.ts';
import { loadStateDict, matchStateDict } from './weights/state-dict.ts';

/** A network with its weights and the names of its classes. The host holds it; devices get copies when they first run it. */
export class Model {
  readonly name: string;
  readonly architecture: Architecture;
  readonly labels: readonly string[];
  readonly module: Module;

  constructor(name: string, module: Module, labels: readonly string[]) {
    this.name = name;
    this.architecture = architecture(name);
    this.module = module;
    this.labels = labels;
  }

  /** The dotted names of all layers whose output can be explained or looked at. */
  layers(): string[] {
    return [...this.module.modules().keys()];
  }

  /**
   * Logits for a batch of images.
   * @param input [N, 3, H, W], normalised as the weights want it
   * @param observe by dotted layer name: is shown the output of that layer, and returns what the network goes on with
   * @returns [N, classes]
   * @throws UsageError when the input is no batch of images or smaller than the network's stride, or a layer does not exist
   */
  forward(input: Tensor, observe: Readonly<Record<string, Observer>> = {}): Tensor {
    const { stride } = this.architecture;
    const [images, channels, height = 0, width = 0] = input.shape;
    if (input.rank !== 4 || images === 0 || channels !== 3) {
      throw new UsageError(
        `${this.name}: the input must be one or more images [N,3,H,W], not ${formatShape(input.shape)}`,
      );
    }
    if (Math.min(height, width) < stride) {
      throw new UsageError(
        `${this.name}: an input of ${height} x ${width} is smaller than the network's stride of ${stride}; use ${stride} x ${stride} pixels or more`,
      );
    }
    return this.#pass(observe).call(this.module, input);
  }

  /**
   * The modules that turn what a layer returns into the logits, one after the other; undefined where the rest of the
   * network sees more than this output (the body of a residual block, whose shortcut goes around it).
   * @throws UsageError for a layer that does not exist
   */
  after(layer: string): readonly Module[] | undefined {
    return following(this.module, this.module.module(layer));
  }

  /**
   * The logits that follow from the output of a layer; nothing before it runs.
   * @param output [N,C,I,J], what the layer returned or what shall stand in its place
   * @returns [N, classes]
   * @throws UsageError where the network cannot begin behind this layer (see `entryTo`)
   */
  forwardFrom(layer: string, output: Tensor, observe: Readonly<Record<string, Observer>> = {}): Tensor {
    const modules = this.after(layer);
    if (!modules)
      throw new UsageError(
        `${this.name}: the rest of the network needs more than the output of "${layer}"; begin before`,
      );
    return tidy([output], (output) => chain(this.#pass(observe), output, modules));
  }

  /** The last layer behind which a pass can begin that shall run `layer` again; undefined where only the image will do. */
  entryTo(layer: string): string | undefined {
    const target = this.module.module(layer);
    const runsTarget = (module: Module) => module === target || [...module.modules().values()].includes(target);
    // Layers are in the order in which they run.
    return this.layers().findLast((name) => this.after(name)?.some(runsTarget));
  }

  #pass(observe: Readonly<Record<string, Observer>>): ForwardPass {
    return new ForwardPass(
      new Map(Object.entries(observe).map(([layer, observer]) => [this.module.module(layer), observer])),
    );
  }

  /** Frees the weights on a device. */
  release(device: Device): void {
    this.module.release(device);
  }
}

/** What runs in `module` after `target`, if it is one of a sequence, or of a sequence in a sequence. */
function following(module: Module, target: Module): readonly Module[] | undefined {
  const members = module.sequence() ?? [];
  const position = members.indexOf(target);
  if (position >= 0) return members.slice(position + 1);
  for (const [i, member] of members.entries()) {
    const inside = following(member, target);
    if (inside) return [...inside, ...members.slice(i + 1)];
  }
  return undefined;
}

export interface LoadOptions {
  /** For messages: the file that the bytes come from. */
  readonly file?: string;
  /** Names of the classes, when they are not those of the published weights. */
  readonly labels?: readonly string[];
}

/**
 * A model from a weight file: `.safetensors`, or PyTorch's `.pth`, `.pt`, `.th` in either of its formats. The number of
 * classes is that of the file.
 * @param name one of `MODEL_NAMES`
 * @throws UsageError for an unknown name, InputError for a file that is damaged or of another architecture
 */
export function loadModel(name: string, bytes: Uint8Array, options: LoadOptions = {}): Model {
  const { file = 'the weights' } = options;
  const { build, head, labels: published } = architecture(name);
  const given = loadStateDict(bytes, file);
  // The head may stand under a wrapper's prefix (`model.fc.bias`), which the match below takes off.
  const headKey = [...given.keys()].find((key) => key === head || key.endsWith(`.${head}`)) ?? head;
  const classes = given.get(headKey)?.shape[0] ?? published.length;
  if (classes === 0) throw new InputError(`${file}: "${headKey}" is empty: these weights have no classes`);
  const module = build(classes);
  const matched = matchStateDict(module.stateShapes(), given, file, { architecture: name });
  module.loadValues(new Map([...matched].map(([key, { data }]) => [key, { data: asFloat32(data) }])));
  const labels =
    options.labels ??
    (classes === published.length ? published : Array.from({ length: classes }, (_, i) => `class ${i}`));
  if (labels.length !== classes)
    throw new UsageError(`${labels.length} labels do not fit the ${classes} classes of ${file}`);
  return new Model(name, module, labels);
}

/** The layers of a model without weights. */
export function layersOf(name: string): string[] {
  const { build, labels } = architecture(name);
  return [...build(labels.length).modules().keys()];
}

/** Without a copy where the file has float32 already, as it nearly always does. */
function asFloat32(data: HostArray['data']): Float32Array {
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

/** @throws UsageError unless a model of this name has this layer; weights are not needed to know */
export function requireLayer(name: string, layer: string): void {
  const { build, labels } = architecture(name);
  build(labels.length).module(layer);
}
