"""Data sets: `load` one by its name, and go through its mini-batches with a `Loader`."""

from minigen.data import domains, toy
from minigen.data.attributes import load_attributes
from minigen.data.catalogue import NAMES, load
from minigen.data.dataset import Dataset
from minigen.data.few_labels import few_labels
from minigen.data.images import load_folder
from minigen.data.loader import Loader

__all__ = ["NAMES", "Dataset", "Loader", "domains", "few_labels", "load", "load_attributes", "load_folder", "toy"]
