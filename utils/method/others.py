"""An output for everything that is not the task's: "other".

A sub-model that only ever sees its own task's classes cannot tell what is none of them, and joined with others it
claims their images. Class-incremental learning is within-task prediction times telling what is out of the task's
distribution (Kim et al. 2022, arXiv 2211.02633). So stage one's networks have one output more than the task has
classes, the last one, and learn it from unlabelled images of another data set and from the exemplars of the tasks
before. When the sub-model is joined, that output is subtracted from the others and goes: see
`ResNet18.without_other`.
"""

import torch
import torch.nn.functional as F
from torch import nn

from datasets.batches import Rows
from utils.method.mixup import Objective, Outcome, mix
from utils.running.randomness import StepRandom


def with_others(num_classes: int, alpha: float, weight: float) -> Objective:
    """Mixup over the task's images and foreign ones, cross-entropy over the task's classes and "other".

    The batch's first part are labelled images of the task. All parts after it are "other": those with labels are
    exemplars of old classes, one without is unlabelled images. Pairs are mixed over the joined rows. The loss is the
    mean over the labelled rows and exemplars, plus `weight` times that over unlabelled rows.

    Tasks see "other" more or less often, later ones with exemplars more. So that the joined sub-models say it equally
    readily, the logarithm of each output's weight in the batch is added to the logits in the loss (Menon et al. 2021,
    "Long-tail learning via logit adjustment", arXiv 2007.07314, section 5), and the outputs themselves are as if each
    had been seen equally often.
    """

    def objective(model: nn.Module, batch: list[Rows], random: StepRandom) -> Outcome:
        own, known = len(batch[0].labels), sum(len(rows.labels) for rows in batch if rows.labels is not None)
        inputs = torch.cat([rows.views[0] for rows in batch])
        labels = F.pad(batch[0].labels, (0, len(inputs) - own), value=num_classes)
        targets = F.one_hot(labels, num_classes + 1).to(inputs.dtype)
        inputs, targets = mix(inputs, targets, random.permutation(len(inputs)), random.mixing(alpha, len(inputs)))
        logits = model(inputs)
        weights = torch.full((len(inputs),), weight / max(len(inputs) - known, 1))
        weights[:known] = 1 / known
        priors = torch.cat([(weights[:own].sum() / num_classes).expand(num_classes), weights[own:].sum().expand(1)])
        adjusted = logits.float() + priors.log().to(logits.device)
        losses = -(targets * F.log_softmax(adjusted, dim=1)).sum(dim=1)
        return Outcome(losses.dot(weights.to(logits.device)), inputs, logits)  # autocast rounds `@`, but not this

    return objective
