"""Layers: operations together with the parameters that they use."""

from minigen.nn import init
from minigen.nn.activations import (
    ELU,
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    Unflatten,
)
from minigen.nn.convolution import Conv2d, ConvTranspose2d, MaskedConv2d
from minigen.nn.linear import Embedding, Linear
from minigen.nn.module import Module, ModuleList, Parameter, Sequential
from minigen.nn.normalization import BatchNorm1d, BatchNorm2d, InstanceNorm2d, LayerNorm
from minigen.nn.pixel_recurrent import DiagonalBiLSTM, RowLSTM
from minigen.nn.pooling import AvgPool2d, MaxPool2d, Upsample
from minigen.nn.recurrent import LSTM, LSTMCell
from minigen.nn.shift import ShiftDown

__all__ = [
    "ELU",
    "LSTM",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "DiagonalBiLSTM",
    "Dropout",
    "Embedding",
    "Flatten",
    "Identity",
    "InstanceNorm2d",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaskedConv2d",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "RowLSTM",
    "Sequential",
    "ShiftDown",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "Upsample",
    "init",
]
