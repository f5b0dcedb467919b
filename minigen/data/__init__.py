"""Data sets and their loading: `load` a data set by name, hand it to a `Loader`, go through its epochs."""

from minigen.data import toy
from minigen.data.attributes import load_attributes
from minigen.data.catalogue import NAMES, load
from minigen.data.dataset import Dataset
from minigen.data.images import load_folder
from minigen.data.loader import Loader

__all__ = ["NAMES", "Dataset", "Loader", "load", "load_attributes", "load_folder", "toy"]
