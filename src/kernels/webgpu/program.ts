/** A value that a shader reads from its uniform buffer. */
export type Uniform = readonly [name: string, type: 'u32' | 'i32' | 'f32', value: number];

/** Bytes of a number in a buffer. */
export const FLOAT = 4;

/** The most uniforms of a program. */
export const MOST_UNIFORMS = 64;

/**
 * One dispatch of one shader. `code` is the shader without its declarations: the device writes the bindings
 * (in the order of `bindings`) and the uniforms (as `u.<name>`) in front of it.
 */
export interface WgslProgram {
  /** Names the code: two programs with equal keys must have equal code. */
  readonly key: string;
  /** Made only when no pipeline of this key exists yet. */
  readonly code: () => string;
  /** Extensions of WGSL that the code enables. */
  readonly extensions?: readonly string[];
  readonly bindings: readonly Binding[];
  readonly uniforms: readonly Uniform[];
  /** Numbers of workgroups in x, y, z. */
  readonly workgroups: readonly [number, number, number];
}

export interface Binding {
  /** How the shader calls it. */
  readonly name: string;
  /** The element type in WGSL, `f32` or `vec4f` for example. */
  readonly type: string;
  readonly operand: ProgramOperand;
}

/** What a program reads or writes: an input of the op or its result, or what other programs of the same call left for it. */
export type ProgramOperand =
  | { readonly input: number }
  | { readonly output: number }
  | { readonly scratch: Scratch }
  | { readonly packed: Packed };

/** Memory that the programs of one call share: it is given back behind the last of them. Equal names are the same memory. */
export interface Scratch {
  readonly name: string;
  readonly bytes: number;
  /** Whether this program writes it. */
  readonly written: boolean;
}

/** An input in another layout. That of a constant is made once, and kept beside it. */
export interface Packed {
  readonly input: number;
  readonly bytes: number;
  /** Makes it: of its input 0, the input above, its output 0. */
  readonly program: WgslProgram;
}

/** Whether a shader may write an operand. */
export function isWritten(operand: ProgramOperand): boolean {
  return 'output' in operand || ('scratch' in operand && operand.scratch.written);
}

/** Threads of a workgroup of the one-dimensional kernels. */
export const WORKGROUP = 64;

/** No dimension of a dispatch may be larger (WebGPU's default limit). */
const MAX_WORKGROUPS = 65535;

/** The grid for `threads` independent threads in workgroups of `WORKGROUP`, see `linearMain`. */
export function linearGrid(threads: number): [number, number, number] {
  return workgroupGrid(Math.ceil(threads / WORKGROUP));
}

/** At least `count` workgroups; in the shader, a workgroup's number is `workgroup_id.y * num_workgroups.x + workgroup_id.x`. */
export function workgroupGrid(count: number): [number, number, number] {
  const rows = Math.ceil(Math.max(1, count) / MAX_WORKGROUPS);
  return [Math.ceil(Math.max(1, count) / rows), rows, 1];
}

/** The head of a shader with one thread for each index; `body` sees `index` and is not run beyond `count`. */
export function linearMain(count: string, body: string): string {
  return `@compute @workgroup_size(${WORKGROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (group.y * groups.x + group.x) * ${WORKGROUP}u + lane;
  if (index >= ${count}) { return; }
${body}
}`;
}
