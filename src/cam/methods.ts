import { UsageError } from '../errors.ts';
import {
  type CombineOptions,
  cam,
  type EigenCamOptions,
  eigenCam,
  eigenGradCam,
  gradCamPlusPlusWeights,
  gradCamWeights,
  hiResCamWeights,
  layerCamWeights,
  type SegXResCamOptions,
  segXResCam,
  weightedChannels,
  xGradCamWeights,
} from './activation/index.ts';
import { type DffOptions, dff } from './factorisation/dff.ts';
import { type AblationCamOptions, ablationCam, type ScoreCamOptions, scoreCam } from './gradient-free/index.ts';
import type { Method } from './method.ts';
import { type OcclusionOptions, occlusion, type RiseOptions, rise } from './perturbation/index.ts';
import {
  gradient,
  guidedBackprop,
  type IntegratedGradientsOptions,
  inputXGradient,
  integratedGradients,
  type LrpOptions,
  lrp,
  type SmoothGradOptions,
  smoothGrad,
} from './propagation/index.ts';
import { type AugmentedGradCamOptions, augmentedGradCam } from './super-resolution/augmented-grad-cam.ts';

/** What the methods can be told; each knows some of these, and its own function says what they mean. */
export interface MethodOptions
  extends CombineOptions,
    EigenCamOptions,
    SegXResCamOptions,
    ScoreCamOptions,
    AblationCamOptions,
    OcclusionOptions,
    RiseOptions,
    DffOptions,
    AugmentedGradCamOptions,
    SmoothGradOptions,
    IntegratedGradientsOptions,
    LrpOptions {}

/** What is known of a method before it runs. */
export interface MethodInfo {
  /** As its paper writes it. */
  readonly title: string;
  readonly paper: string;
  /** Whether each class has a map of its own; other methods ask for no class. */
  readonly perClass: boolean;
  /** Whether it explains a layer; other methods explain the image itself. */
  readonly layer: boolean;
  /** The options that it knows. */
  readonly options: readonly (keyof MethodOptions)[];
  readonly create: (options: MethodOptions) => Method;
}

const AT_LAYER = { perClass: true, layer: true } as const;
const AT_IMAGE = { perClass: true, layer: false } as const;

/** Every method, by name. Each can stand in the place of Grad-CAM in FM-G-CAM if it has a map for each class. */
export const METHODS = {
  'grad-cam': {
    ...AT_LAYER,
    title: 'Grad-CAM',
    paper: 'Selvaraju et al. 2017',
    options: ['eigenSmooth'],
    create: (options) => weightedChannels(gradCamWeights, options),
  },
  'grad-cam++': {
    ...AT_LAYER,
    title: 'Grad-CAM++',
    paper: 'Chattopadhay et al. 2018',
    options: ['eigenSmooth', 'epsilon'],
    create: (options) => weightedChannels(gradCamPlusPlusWeights(options.epsilon), options),
  },
  'xgrad-cam': {
    ...AT_LAYER,
    title: 'XGrad-CAM',
    paper: 'Fu et al. 2020',
    options: ['eigenSmooth'],
    create: (options) => weightedChannels(xGradCamWeights, options),
  },
  'hires-cam': {
    ...AT_LAYER,
    title: 'HiResCAM',
    paper: 'Draelos and Carin 2020',
    options: ['eigenSmooth'],
    create: (options) => weightedChannels(hiResCamWeights, options),
  },
  'layer-cam': {
    ...AT_LAYER,
    title: 'LayerCAM',
    paper: 'Jiang et al. 2021',
    options: ['eigenSmooth'],
    create: (options) => weightedChannels(layerCamWeights, options),
  },
  'eigen-cam': {
    ...AT_LAYER,
    perClass: false,
    title: 'Eigen-CAM',
    paper: 'Muhammad and Yeasin 2020',
    options: ['centre'],
    create: eigenCam,
  },
  'eigen-grad-cam': {
    ...AT_LAYER,
    title: 'Eigen-GradCAM',
    paper: 'pytorch-grad-cam',
    options: [],
    create: () => eigenGradCam,
  },
  cam: { ...AT_LAYER, title: 'CAM', paper: 'Zhou et al. 2016', options: [], create: () => cam },
  'seg-xres-cam': {
    ...AT_LAYER,
    title: 'Seg-XRes-CAM',
    paper: 'Hasany et al. 2023',
    options: ['region', 'pool'],
    create: segXResCam,
  },
  'score-cam': {
    ...AT_LAYER,
    title: 'Score-CAM',
    paper: 'Wang et al. 2020',
    options: ['eigenSmooth', 'batch'],
    create: scoreCam,
  },
  'ablation-cam': {
    ...AT_LAYER,
    title: 'Ablation-CAM',
    paper: 'Desai and Ramaswamy 2020',
    options: ['eigenSmooth', 'batch'],
    create: ablationCam,
  },
  'augmented-grad-cam': {
    ...AT_LAYER,
    title: 'Augmented Grad-CAM',
    paper: 'Morbidelli et al. 2020',
    options: ['samples', 'factor', 'angle', 'shift', 'seed', 'steps'],
    create: augmentedGradCam,
  },
  dff: {
    ...AT_LAYER,
    perClass: false,
    title: 'Deep feature factorisation',
    paper: 'Collins et al. 2018',
    options: ['concepts', 'steps'],
    create: dff,
  },
  occlusion: {
    ...AT_IMAGE,
    title: 'Occlusion',
    paper: 'Zeiler and Fergus 2014',
    options: ['patch', 'stride', 'fill', 'score', 'batch'],
    create: occlusion,
  },
  rise: {
    ...AT_IMAGE,
    title: 'RISE',
    paper: 'Petsiuk et al. 2018',
    options: ['samples', 'cells', 'probability', 'seed', 'score', 'batch'],
    create: rise,
  },
  gradient: {
    ...AT_IMAGE,
    title: 'Gradient',
    paper: 'Simonyan et al. 2014',
    options: [],
    create: () => gradient,
  },
  'input-x-gradient': {
    ...AT_IMAGE,
    title: 'Input x gradient',
    paper: 'Shrikumar et al. 2016',
    options: [],
    create: () => inputXGradient,
  },
  'guided-backprop': {
    ...AT_IMAGE,
    title: 'Guided backpropagation',
    paper: 'Springenberg et al. 2015',
    options: [],
    create: () => guidedBackprop,
  },
  'smooth-grad': {
    ...AT_IMAGE,
    title: 'SmoothGrad',
    paper: 'Smilkov et al. 2017',
    options: ['samples', 'noise', 'seed', 'batch'],
    create: smoothGrad,
  },
  'integrated-gradients': {
    ...AT_IMAGE,
    title: 'Integrated gradients',
    paper: 'Sundararajan et al. 2017',
    options: ['baseline', 'steps', 'batch'],
    create: integratedGradients,
  },
  lrp: {
    ...AT_IMAGE,
    title: 'LRP',
    paper: 'Bach et al. 2015',
    options: ['rule', 'epsilon'],
    create: lrp,
  },
} as const satisfies Record<string, MethodInfo>;

export type BaseMethodName = keyof typeof METHODS;

type PerClass = { [Name in BaseMethodName]: (typeof METHODS)[Name]['perClass'] extends true ? Name : never };

/** A method, or the fusion of one by equations 4 to 6. `fm-g-cam` is `fm-grad-cam`. */
export type MethodName = 'fm-g-cam' | BaseMethodName | `fm-${PerClass[BaseMethodName]}`;

const table: Readonly<Record<string, MethodInfo>> = METHODS;
const FUSED = 'fm-';

/** Every name that `--method` and `ExplainOptions.method` take. */
export const METHOD_NAMES: readonly string[] = [
  'fm-g-cam',
  ...Object.keys(table),
  ...Object.keys(table).flatMap((name) => (table[name]?.perClass ? [FUSED + name] : [])),
];

/** What a method's name says. */
export interface NamedMethod {
  /** In one spelling: `fm-g-cam` for `fm-grad-cam`. */
  readonly name: MethodName;
  /** The method whose maps are fused, or the method itself. */
  readonly base: BaseMethodName;
  readonly fused: boolean;
  readonly info: MethodInfo;
  /** With `FM-` where it is fused. */
  readonly title: string;
}

/** @throws UsageError for a name that is none, or for the fusion of a method without maps of classes */
export function namedMethod(name: string): NamedMethod {
  const spelt = name === 'fm-g-cam' ? 'fm-grad-cam' : name;
  const fused = spelt.startsWith(FUSED);
  const base = fused ? spelt.slice(FUSED.length) : spelt;
  if (!isBaseName(base))
    throw new UsageError(
      `method "${name}" is unknown; use fm-g-cam, or ${Object.keys(METHODS).join(', ')}, or fm- and one of these to fuse it`,
    );
  const info: MethodInfo = METHODS[base];
  if (fused && !info.perClass)
    throw new UsageError(`method "${name}": ${base} has no map for each class, and nothing to fuse; use ${base}`);
  const isFmGCam = spelt === 'fm-grad-cam';
  return {
    name: (isFmGCam ? 'fm-g-cam' : name) as MethodName,
    base,
    fused,
    info,
    title: isFmGCam ? 'FM-G-CAM' : `${fused ? 'FM-' : ''}${info.title}`,
  };
}

/** @throws UsageError for options that the method does not know, or values out of range */
export function createMethod({ name, info }: NamedMethod, options: MethodOptions = {}): Method {
  for (const [option, value] of Object.entries(options)) {
    if (value === undefined || info.options.some((known) => known === option)) continue;
    const known = info.options.length > 0 ? `it knows ${info.options.join(', ')}` : 'it has none';
    throw new UsageError(`${name} has no option ${option}; ${known}`);
  }
  return info.create(options);
}

function isBaseName(name: string): name is BaseMethodName {
  return Object.hasOwn(METHODS, name);
}
