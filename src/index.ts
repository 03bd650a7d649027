/// <reference lib="esnext.disposable" preserve="true" />

/* The public API: from a weight file and a photograph to a picture, and every step in between. */

export { type GradcheckOptions, type GradcheckResult, gradcheck } from './autograd/gradcheck.ts';
export { grad, Tape, vjp } from './autograd/tape.ts';
export * from './cam/activation/index.ts';
export {
  ACTIVATIONS,
  type Activation,
  activate,
  channelImportance,
  classMaps,
  filterMaximum,
  fmGCam,
  fuse,
  gradCam,
  normalise,
  topClasses,
} from './cam/algorithm.ts';
export {
  type Description,
  type ExplainedClass,
  type ExplainMethodOptions,
  type ExplainOptions,
  Explanation,
  explainTensor,
  type Maps,
  MODES,
  type Mode,
  type Steps,
} from './cam/explain.ts';
export {
  type ExplainImageOptions,
  explain,
  ImageExplanation,
  type ImageSource,
  type PresetName,
} from './cam/explain-image.ts';
export { type DffOptions, dff } from './cam/factorisation/dff.ts';
export * from './cam/gradient-free/index.ts';
export type { Method, MethodCall } from './cam/method.ts';
export {
  type BaseMethodName,
  createMethod,
  METHOD_NAMES,
  METHODS,
  type MethodInfo,
  type MethodName,
  type MethodOptions,
  type NamedMethod,
  namedMethod,
} from './cam/methods.ts';
export { type ObservedPass, observedForward, type Target } from './cam/observe.ts';
export * from './cam/perturbation/index.ts';
export * from './cam/propagation/index.ts';
export { type ReferenceOptions, referenceMaps } from './cam/reference.ts';
export { type AugmentedGradCamOptions, augmentedGradCam } from './cam/super-resolution/augmented-grad-cam.ts';
export { type StepName, type TraceOptions, type TraceStep, trace, traceOf } from './cam/trace.ts';
export { DeviceError, FmgcamError, InputError, UsageError } from './errors.ts';
export { classColour, viridis } from './image/colour.ts';
export { decodeImage } from './image/decode.ts';
export { type Drawing, rasterise } from './image/drawing.ts';
export { encodePng } from './image/encode.ts';
export {
  type ContactSheet,
  contactSheet,
  type LegendClass,
  type LegendOptions,
  legend,
  type SheetTile,
  withLegend,
} from './image/figure.ts';
export type { Rectangle, Rgb, RgbImage } from './image/image.ts';
export {
  type FusedOverlayOptions,
  type OverlayMap,
  type OverlayOptions,
  overlayFused,
  overlaySingle,
  upsample,
} from './image/overlay.ts';
export { PRESETS, type Preprocessed, type Preprocessing, preprocess, squash } from './image/preprocess.ts';
export { type Filter, resize as resizeImage } from './image/resample.ts';
export { svgOf } from './image/svg.ts';
export * from './kernels/index.ts';
export * from './metrics/index.ts';
export { Constant, Parameter, RunningStatistic } from './nn/constant.ts';
export { ForwardPass, type Observer } from './nn/forward-pass.ts';
export * from './nn/layers.ts';
export { type LoadOptions, layersOf, loadModel, Model } from './nn/model.ts';
export { type Architecture, architectures, MODEL_NAMES, type ModelName } from './nn/models/registry.ts';
export { Module } from './nn/module.ts';
export type { HostArray, StateDict } from './nn/weights/host-array.ts';
export { parseSafetensors, serializeSafetensors } from './nn/weights/safetensors.ts';
export { loadStateDict } from './nn/weights/state-dict.ts';
export { type StudyOptions, studyPage } from './study/page.ts';
export type { HostData, MemoryReport } from './tensor/memory.ts';
export { Scope, tidy, withScope } from './tensor/scope.ts';
export type { Shape } from './tensor/shape.ts';
export { Tensor } from './tensor/tensor.ts';
export * from './training/index.ts';
