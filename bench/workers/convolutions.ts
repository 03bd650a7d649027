import { adapterOf, describeDevice, importLibrary } from './library.ts';
import { convolution } from './our-convolution.ts';
import { serveConvolutions } from './serve.ts';

/* Single convolutions of this library on WebGPU. */

await serveConvolutions(async () => {
  const library = await importLibrary();
  const device = await library.createDevice('webgpu');
  return {
    about: describeDevice(device),
    adapter: adapterOf(device),
    prepare: (shape) => convolution(library, device, shape),
  };
});
