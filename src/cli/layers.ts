import { Command } from 'commander';
import { layersOf } from '../nn/model.ts';
import { architecture } from '../nn/models/registry.ts';
import { jsonOption, modelName, modelOption, print } from './options.ts';

export function layersCommand(): Command {
  return new Command('layers')
    .description('list the layers of a model that can be explained')
    .addOption(modelOption())
    .addOption(jsonOption())
    .action((options: { model?: string; json?: true }) => {
      const model = modelName(options);
      const { layer, title } = architecture(model);
      const layers = layersOf(model);
      if (options.json) {
        print(JSON.stringify({ model, title, default: layer, layers }, undefined, 2));
        return;
      }
      for (const name of layers) print(name === layer ? `${name}  (default)` : name);
    });
}
