"""PyTorch in eager mode: the forward pass, FM-G-CAM by the procedure of the authors' library, and their metrics.

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
# Two maps without ties; those of bench/workers/ours.ts.
MAPS = [torch.tensor([(37 * cell + 11 * index) % 49 / 48 for cell in range(49)]).reshape(7, 7) for index in range(2)]
# Pictures in a forward pass of the metrics library.
BATCH = 20


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


    def evaluate(self):
        """What `metrics-saliency-maps` does for each map: its metrics one after the other, each with its own passes."""
        score = lambda pictures: self.model(pictures).softmax(1)
        curves = []
        with torch.no_grad():
            for index, saliency in enumerate(MAPS):
                black = torch.zeros_like(self.x)
                curves.append(stepwise(score, self.x, black, saliency, index))
                curves.append(stepwise(score, box_blur(self.x), self.x, saliency, index))
                mask = F.interpolate(saliency[None, None], self.x.shape[2:], mode="nearest")
                for mask in (mask, 1 - mask):
                    score(self.x)[:, index], score(self.x * mask)[:, index]
        return torch.cat(curves)


def stepwise(score, start, end, saliency, index):
    """The scores while the cells of `start` are replaced by those of `end`, the most salient ones first."""
    pictures = []
    for count in range(1, saliency.numel() + 1):
        mask = torch.ones(saliency.numel())
        mask[torch.topk(saliency.flatten(), count, sorted=True).indices] = 0
        mask = F.interpolate(mask.reshape(1, 1, *saliency.shape), start.shape[2:], mode="nearest")
        pictures.append(start * mask + end * (1 - mask))
    scores = [score(start)[:, index]]
    for batch in torch.split(torch.cat(pictures), BATCH):
        scores.append(score(batch)[:, index])
    return torch.cat(scores)


def box_blur(x):
    size = max(x.shape[2] // 5, 9) | 1
    kernel = torch.full((3, 1, size, size), 1 / size**2)
    return F.conv2d(x, kernel, padding=size // 2, groups=3)


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
