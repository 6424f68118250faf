"""Networks: the ImageNet ResNets, the paper's CIFAR ResNets, the fast CIFAR net, and their plain twins."""

from plusx.models.blocks import BasicBlock, Bottleneck
from plusx.models.cifar import CifarResNet
from plusx.models.fast import FastNet
from plusx.models.registry import create_model, model_names
from plusx.models.resnet import ResNet
from plusx.models.summary import Summary, multiply_adds, receptive_field, summarise
from plusx.models.weights import PRETRAINED, Card, begin_from, load, load_state, save_weights

__all__ = [
    "PRETRAINED",
    "BasicBlock",
    "Bottleneck",
    "Card",
    "CifarResNet",
    "FastNet",
    "ResNet",
    "Summary",
    "begin_from",
    "create_model",
    "load",
    "load_state",
    "model_names",
    "multiply_adds",
    "receptive_field",
    "save_weights",
    "summarise",
]
