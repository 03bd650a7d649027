import type { Device } from '../device.ts';
import { type WarmupProgress, WebGpuDevice } from './device.ts';
import { DryDevice } from './dry-device.ts';
import { runCall } from './parts.ts';
import type { WgslProgram } from './program.ts';

/**
 * Compiles the kernels that some work needs, several at a time, so that its first run takes as long as the others. Kernels
 * that are compiled already are left alone. Other devices than WebGPU have nothing to compile.
 * @param work is run once on a device that computes nothing and reads zeros, for example
 *   `(device) => explain(model, image, { device })`; sizes decide which kernels there are
 * @throws DeviceError when the driver refuses a kernel
 */
export async function warmup(
  device: Device,
  work: (device: Device) => unknown,
  onProgress: (progress: WarmupProgress) => void = () => {},
): Promise<void> {
  if (!(device instanceof WebGpuDevice)) return;
  const programs = new Map<string, WgslProgram>();
  const { target, bindingBytes } = device;
  const collect = (some: readonly WgslProgram[]) => {
    for (const program of some) {
      programs.set(program.key, program);
      for (const { operand } of program.bindings) {
        if ('packed' in operand) programs.set(operand.packed.program.key, operand.packed.program);
      }
    }
  };
  const dry: DryDevice = new DryDevice((kernel, inputs, outputs, attributes) => {
    const run: Device['run'] = (...call) => dry.run(...call);
    runCall({ kernel, inputs, outputs, attributes }, { target, bindingBytes, memory: dry, dispatch: collect, run });
  });
  await work(dry);
  await device.compile([...programs.values()], onProgress);
}
