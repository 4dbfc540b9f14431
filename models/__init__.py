"""The networks: ResNet-18 with free widths, its compression, and EDE-Net."""

from models.ede_net import EDENet
from models.resnet import ResNet18

__all__ = ["EDENet", "ResNet18"]
