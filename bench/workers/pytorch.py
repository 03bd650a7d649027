"""PyTorch in eager mode: the forward pass, and FM-G-CAM by the procedure of the authors' library.

Speaks the protocol of bench/protocol.ts: a line of JSON in on standard input, a line out on file descriptor 3.
"""

import gc
import json
import os
import sys
import time

import torch
import torch.nn.functional as F
import torchvision

CLASSES = 5


class Job:
    def __init__(self, network, threads, pth, input, **_):
        torch.set_num_threads(threads)
        self.model = getattr(torchvision.models, network)(weights=None)
        self.model.load_state_dict(torch.load(pth))
        self.model.eval().requires_grad_(False)
        self.x = torch.from_file(input, size=3 * 224 * 224).reshape(1, 3, 224, 224).clone()
        self.about = f"PyTorch {torch.__version__} eager, torchvision {torchvision.__version__}"

    def forward(self):
        with torch.no_grad():
            return self.model(self.x)

    def explain(self):
        """What `xai-inference-engine` does between a prepared image and its fused maps, step by step.

        One forward pass that can be differentiated by every parameter, then for each class a backward pass through the
        whole network, down to the gradients of all weights, and a loop over the channels that weights them one by one,
        in place, in one tensor that all classes share.
        """
        layer = self.model.layer4
        seen = {}
        handles = [
            layer.register_full_backward_hook(lambda _module, _inputs, outputs: seen.update(gradients=outputs[0])),
            layer.register_forward_hook(lambda _module, _inputs, output: seen.update(activations=output)),
        ]
        self.model.requires_grad_(True)
        logits = self.model(self.x)
        ranked = logits.argsort(dim=1, descending=True)[0]
        gradients = []
        for index in ranked[:CLASSES]:
            logits[:, index].backward(retain_graph=True)
            gradients.append(seen["gradients"])
        for handle in handles:
            handle.remove()
        self.model.requires_grad_(False)
        maps = fuse([weighted(seen["activations"], gradient) for gradient in gradients])
        # The library collects garbage before it returns.
        gc.collect()
        return maps


def weighted(activations, gradient):
    importance = gradient.mean((0, 2, 3))
    for channel in range(activations.shape[1]):
        activations[:, channel] *= importance[channel]
    return activations.mean(1).detach()


def fuse(maps):
    """The first of the largest values in each place, normalised by row, stretched to [0,1]."""
    maps = torch.cat(maps)
    winner = maps.argmax(0)
    maps = maps * torch.stack([winner == k for k in range(len(maps))])
    maps = F.relu(F.normalize(maps, p=2, dim=1))
    return (maps - maps.min()) / (maps.max() - maps.min())


def timed(action, times):
    milliseconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        milliseconds.append(1e3 * (time.perf_counter() - start))
    return milliseconds


def main():
    job = None
    with os.fdopen(3, "w") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            call, argument = request["call"], request["argument"]
            try:
                if call == "load":
                    job = Job(**argument)
                    result = job.about
                elif call == "output":
                    result = getattr(job, argument)().flatten().tolist()
                else:
                    result = timed(getattr(job, argument["action"]), argument["times"])
                answer = {"result": result}
            except Exception as error:  # the other side decides what to do about it
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


main()
