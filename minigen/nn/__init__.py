"""Layers: operations together with the parameters that they use."""

from minigen.nn import init
from minigen.nn.activations import Dropout, Flatten, LeakyReLU, ReLU, Sigmoid, Tanh, Unflatten
from minigen.nn.convolution import Conv2d, ConvTranspose2d, MaskedConv2d
from minigen.nn.linear import Embedding, Linear
from minigen.nn.module import Module, ModuleList, Parameter, Sequential
from minigen.nn.normalization import BatchNorm1d, BatchNorm2d
from minigen.nn.pixel_recurrent import DiagonalBiLSTM, RowLSTM
from minigen.nn.recurrent import LSTM, LSTMCell
from minigen.nn.shift import ShiftDown

__all__ = [
    "LSTM",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "DiagonalBiLSTM",
    "Dropout",
    "Embedding",
    "Flatten",
    "LSTMCell",
    "LeakyReLU",
    "Linear",
    "MaskedConv2d",
    "Module",
    "ModuleList",
    "Parameter",
    "ReLU",
    "RowLSTM",
    "Sequential",
    "ShiftDown",
    "Sigmoid",
    "Tanh",
    "Unflatten",
    "init",
]
