"""DER's network: frozen extractors side by side under one linear layer (Yan et al. 2021, arXiv 2103.16788)."""

import copy

import torch
from torch import Tensor, nn

from models.ede_net import EDENet
from models.resnet import ResNet18


class DERNet(EDENet):
    """Sub-models 1..t, each with outputs for all classes seen, whose logits are added.

    That is one linear layer over all features side by side: each sub-model's head are its columns for that sub-model's
    features. Everything else is as in an `EDENet`.
    """

    KIND = "der"

    @property
    def num_classes(self) -> int:
        return self.submodels[-1].num_classes if len(self.submodels) else 0

    def logits(self, x: Tensor) -> Tensor:
        return torch.stack([submodel(x) for submodel in self.submodels]).sum(dim=0)

    def expand(self, fresh: ResNet18, seed: int) -> None:
        """Makes room for the next task's classes (section 3.2): the extractors that are there are frozen, and a new one
        joins, which begins with the weights of the one before.

        Args:
            fresh: a network of the new task's classes, which the first task begins with.
            seed: of the linear layer's new rows.
        """
        if len(self.submodels) == 0:
            self.submodels.append(fresh)
            return
        for submodel in self.submodels:
            submodel.grow_head(fresh.num_classes, seed)
            submodel.requires_grad_(False)
            submodel.head.requires_grad_(True)
        newest = copy.deepcopy(self.submodels[-1]).requires_grad_(True)
        nn.init.zeros_(newest.head.bias)  # one bias is enough, and it is there
        self.submodels.append(newest)

    @torch.no_grad()
    def align(self, first: int) -> None:
        """Scales the rows of the classes from `first` on so that their mean length is that of the rows before: weight
        alignment (Zhao et al. 2020, arXiv 1911.07053, section 3.3)."""
        lengths = torch.cat([submodel.head.weight for submodel in self.submodels], dim=1).norm(dim=1)
        scale = lengths[:first].mean() / lengths[first:].mean()
        for submodel in self.submodels:
            submodel.head.weight[first:] *= scale


class WithAuxiliary(nn.Module):
    """The network in training: an auxiliary head on the newest features tells the new classes apart.

    All old ones are one class more to it (section 3.3). `forward`: images -> (logits of all classes [B, C], auxiliary
    logits [B, 1 + new classes]).
    """

    def __init__(self, net: DERNet, new: int, seed: int):
        super().__init__()
        self.net = net
        newest = net.submodels[-1].head.weight
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.auxiliary = nn.Linear(newest.shape[1], 1 + new).to(newest.device)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *old, newest = self.net.submodels
        features = newest.features(x)
        logits = newest.head(features) + sum(submodel(x) for submodel in old)
        return logits, self.auxiliary(features)
