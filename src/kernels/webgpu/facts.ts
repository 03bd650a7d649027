/** What shaders depend on: facts of a device. */
export interface DeviceFacts {
  /** Whether it computes on the CPU. */
  readonly software: boolean;
  /** How many threads run in lockstep, at least and at most; undefined where they cannot exchange values. */
  readonly subgroups: { readonly min: number; readonly max: number } | undefined;
  /** The most threads of a workgroup. */
  readonly workgroupThreads: number;
  /** The most memory that they can share. */
  readonly workgroupBytes: number;
}

/** Whether an adapter computes on the CPU, like lavapipe, SwiftShader or WARP. */
export function isSoftware({ info }: { readonly info: GPUAdapterInfo }): boolean {
  const text = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter === true || /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(text);
}

export function deviceFacts(
  { features, limits }: GPUDevice,
  info: GPUAdapterInfo,
  software: boolean = isSoftware({ info }),
): DeviceFacts {
  const { subgroupMinSize: min, subgroupMaxSize: max } = info;
  return {
    software,
    subgroups: features.has('subgroups') && min >= 4 && max >= min ? { min, max } : undefined,
    workgroupThreads: limits.maxComputeInvocationsPerWorkgroup,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
  };
}
