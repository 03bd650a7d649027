import { InputError, UsageError } from '../errors.ts';
import type { Device } from '../kernels/device.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { Constant, Parameter } from './constant.ts';
import type { ForwardPass } from './forward-pass.ts';

/**
 * A part of a network. Properties that are modules or parameters are its children, and their names are PyTorch's, so
 * that dotted names and state-dict keys come out as `torch.nn.Module` spells them.
 */
export abstract class Module {
  /** The output for one input; called through `ForwardPass.call`, which frees what this computes on the way. */
  abstract forward(x: Tensor, pass: ForwardPass): Tensor;

  /**
   * The modules that this one amounts to, each of which sees the output of the one before and nothing else; undefined where
   * data takes other ways. A pass can begin behind any of them. What `forward` calls without a name is spelt out here.
   */
  sequence(): readonly Module[] | undefined {
    return undefined;
  }

  children(): [name: string, module: Module][] {
    return Object.entries(this).filter((entry): entry is [string, Module] => entry[1] instanceof Module);
  }

  /** All modules below this one by their dotted names, in order of definition. */
  modules(): Map<string, Module> {
    const found = new Map<string, Module>();
    for (const [name, child] of this.children()) {
      found.set(name, child);
      for (const [below, module] of child.modules()) found.set(`${name}.${below}`, module);
    }
    return found;
  }

  /** All parameters and buffers by their state-dict keys. */
  parameters(): Map<string, Parameter> {
    const found = new Map<string, Parameter>();
    for (const [path, module] of [['', this] as const, ...this.modules()]) {
      for (const [name, value] of Object.entries(module)) {
        if (value instanceof Parameter) found.set(path ? `${path}.${name}` : name, value);
      }
    }
    return found;
  }

  /** The shapes that a state dict must have. */
  stateShapes(): Map<string, Shape> {
    return new Map([...this.parameters()].map(([key, { shape }]) => [key, shape]));
  }

  /** Sets every parameter; the values are kept, not copied. */
  loadValues(values: ReadonlyMap<string, { readonly data: Float32Array }>): void {
    for (const [key, parameter] of this.parameters()) {
      const value = values.get(key);
      if (!value) throw new InputError(`the weights have no "${key}"`);
      parameter.load(value.data);
    }
  }

  /** The module with this dotted name. */
  module(name: string): Module {
    const modules = this.modules();
    const module = modules.get(name);
    if (module) return module;
    const parent = name.split('.').slice(0, -1).join('.');
    const siblings = [...modules.keys()].filter((other) => other.split('.').slice(0, -1).join('.') === parent);
    const choice = siblings.length > 0 ? siblings : this.children().map(([child]) => child);
    throw new UsageError(`layer "${name}" not found; this model has ${choice.join(', ')}`);
  }

  /** Frees what this module and all below it keep on a device. */
  release(device: Device): void {
    for (const module of [this, ...this.modules().values()]) {
      for (const value of Object.values(module)) {
        if (value instanceof Constant) value.release(device);
      }
      module.releaseDerived(device);
    }
  }

  /** Overridden where a module keeps constants that are computed from its parameters. */
  protected releaseDerived(_device: Device): void {}
}
