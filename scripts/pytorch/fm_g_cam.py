"""FM-G-CAM, equations 1 to 6 of the paper, in PyTorch. Shapes: K classes, C channels, maps of I x J."""

import torch


def top_classes(probabilities, count):
    """Equation 1: [classes] -> [K] class ids, most probable first."""
    return probabilities.topk(count).indices


def channel_importance(gradients):
    """Equation 2: [K,C,I,J] -> [K,C], the mean over i,j of d y[k] / d a[c,i,j]; y is a logit."""
    return gradients.mean((2, 3))


def class_maps(alpha, activations):
    """Equation 3: [K,C], [C,I,J] -> [K,I,J]."""
    return torch.einsum("kc,cij->kij", alpha, activations) / len(activations)


def filter_maximum(maps):
    """Equations 4 and 5: keeps a map where it is the largest of the K; zero elsewhere."""
    return torch.where(maps == maps.amax(0), maps, torch.zeros_like(maps))


def normalise(fused):
    """The quotient in equation 6: one L2 norm over the whole tensor; a zero tensor stays zero."""
    norm = fused.norm()
    return fused / norm if norm > 0 else fused


def fm_g_cam(gradients, activations):
    """All steps after the backward pass, by name, with ReLU as the activation of equation 6."""
    alpha = channel_importance(gradients)
    maps = class_maps(alpha, activations)
    fused = filter_maximum(maps)
    normalised = normalise(fused)
    return {"alpha": alpha, "R": maps, "S": fused, "S_normalised": normalised, "fm_g_cam": normalised.relu()}
