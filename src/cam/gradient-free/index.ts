export { type AblationCamOptions, ablationCam } from './ablation-cam.ts';
export { type ScoreCamOptions, scoreCam } from './score-cam.ts';
