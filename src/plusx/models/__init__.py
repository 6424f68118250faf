"""Networks: the ImageNet ResNets, the paper's CIFAR ResNets, the fast CIFAR net, and their plain twins."""

from plusx.models.blocks import BasicBlock, Bottleneck
from plusx.models.card import Card
from plusx.models.cifar import CifarResNet
from plusx.models.fast import FastNet
from plusx.models.receptive_field import Box, Step, main_path, path_to, receptive_field, seen_by
from plusx.models.registry import create_model, model_names
from plusx.models.resnet import ResNet
from plusx.models.stages import stages
from plusx.models.summary import Summary, multiply_adds, summarise
from plusx.models.weights import PRETRAINED, begin_from, comes_with_plusx, load, load_state, save_weights

__all__ = [
    "PRETRAINED",
    "BasicBlock",
    "Bottleneck",
    "Box",
    "Card",
    "CifarResNet",
    "FastNet",
    "ResNet",
    "Step",
    "Summary",
    "begin_from",
    "comes_with_plusx",
    "create_model",
    "load",
    "load_state",
    "main_path",
    "model_names",
    "multiply_adds",
    "path_to",
    "receptive_field",
    "save_weights",
    "seen_by",
    "stages",
    "summarise",
]
