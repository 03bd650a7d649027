import { type Binding, isWritten, MOST_UNIFORMS, type Uniform, type WgslProgram } from './program.ts';
import type { Shapes } from './tiles.ts';

/** GPUShaderStage of the WebGPU specification; Node has no such global. */
const COMPUTE = 0x4;

/** A compiled shader. Its storage buffers are group 0, its uniforms (if any) a slice of the device's buffer, group 1. */
export interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly storage: GPUBindGroupLayout;
  /** Whether the uniforms have to be there: they are in the code of a pipeline of one shape. */
  readonly readsUniforms: boolean;
}

/** The pipelines of a device: each is compiled once, when it is first needed or before. */
export class Pipelines {
  readonly #gpu: GPUDevice;
  readonly #shapes: Shapes;
  readonly #compiled = new Map<string, Pipeline>();
  readonly #compiling = new Map<string, Promise<Pipeline>>();
  /** By what the bindings may do: shaders with equal bindings share their bind groups. */
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  /** One slice of the uniform buffer. */
  readonly uniforms: GPUBindGroupLayout;

  constructor(gpu: GPUDevice, shapes: Shapes) {
    this.#gpu = gpu;
    this.#shapes = shapes;
    const buffer = { type: 'uniform', hasDynamicOffset: true, minBindingSize: 4 * MOST_UNIFORMS } as const;
    this.uniforms = gpu.createBindGroupLayout({ entries: [{ binding: 0, visibility: COMPUTE, buffer }] });
  }

  has(program: WgslProgram): boolean {
    return this.#compiled.has(this.#key(program));
  }

  /** The pipeline of a program, which waits for the compiler if need be. */
  get(program: WgslProgram): Pipeline {
    const key = this.#key(program);
    const known = this.#compiled.get(key);
    if (known) return known;
    const storage = this.#layout(program.bindings);
    const compiled = this.#gpu.createComputePipeline(this.#descriptor(program, storage));
    const pipeline = { pipeline: compiled, storage, readsUniforms: !this.#isOfOneShape(program) };
    this.#compiled.set(key, pipeline);
    return pipeline;
  }

  /** Compiles beside other work, and other pipelines. Rejects with what the compiler says. */
  compile(program: WgslProgram): Promise<Pipeline> {
    const key = this.#key(program);
    const known = this.#compiled.get(key);
    if (known) return Promise.resolve(known);
    const compiling = this.#compiling.get(key) ?? this.#compile(program);
    this.#compiling.set(key, compiling);
    return compiling.finally(() => this.#compiling.delete(key));
  }

  async #compile(program: WgslProgram): Promise<Pipeline> {
    const storage = this.#layout(program.bindings);
    const pipeline = await this.#gpu.createComputePipelineAsync(this.#descriptor(program, storage));
    const key = this.#key(program);
    // Somebody may not have waited.
    const compiled = this.#compiled.get(key) ?? { pipeline, storage, readsUniforms: !this.#isOfOneShape(program) };
    this.#compiled.set(key, compiled);
    return compiled;
  }

  /** Numbers that WGSL has no literal for stay uniforms. */
  #isOfOneShape({ uniforms }: WgslProgram): boolean {
    return this.#shapes === 'one' && uniforms.every(([, , value]) => Number.isFinite(value));
  }

  #key(program: WgslProgram): string {
    if (!this.#isOfOneShape(program)) return program.key;
    return `${program.key} ${program.uniforms.map(([, , value]) => value)}`;
  }

  #descriptor(program: WgslProgram, storage: GPUBindGroupLayout): GPUComputePipelineDescriptor {
    const label = program.key;
    const code = `${declarations(program, this.#isOfOneShape(program))}\n${program.code()}`;
    return {
      label,
      layout: this.#gpu.createPipelineLayout({ label, bindGroupLayouts: [storage, this.uniforms] }),
      compute: { module: this.#gpu.createShaderModule({ label, code }), entryPoint: 'main' },
    };
  }

  #layout(bindings: readonly Binding[]): GPUBindGroupLayout {
    const types = bindings.map(({ operand }) => (isWritten(operand) ? 'storage' : 'read-only-storage'));
    const key = types.join();
    const entries = types.map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } }) as const);
    const layout = this.#layouts.get(key) ?? this.#gpu.createBindGroupLayout({ label: key, entries });
    this.#layouts.set(key, layout);
    return layout;
  }
}

/** The extensions, the bindings and the uniforms of a shader, in the order in which the bind group lists them. */
function declarations({ extensions = [], bindings, uniforms }: WgslProgram, ofOneShape: boolean): string {
  const enabled = extensions.map((name) => `enable ${name};`);
  const storage = bindings.map(
    ({ name, type, operand }, i) =>
      `@group(0) @binding(${i}) var<storage, ${isWritten(operand) ? 'read_write' : 'read'}> ${name}: array<${type}>;`,
  );
  const head = [...enabled, ...storage].join('\n');
  if (uniforms.length === 0) return head;
  const fields = uniforms.map(([name, type]) => `  ${name}: ${type},`).join('\n');
  return `${head}
struct Uniforms {
${fields}
}
${ofOneShape ? `const u = Uniforms(${uniforms.map(literal)});` : '@group(1) @binding(0) var<uniform> u: Uniforms;'}`;
}

function literal([, type, value]: Uniform): string {
  return type === 'f32' ? `${Math.fround(value)}f` : `${type}(${type === 'u32' ? value >>> 0 : value})`;
}
