"""AC-GAN draws the digit that it is asked for: whether it is read there, and what that costs in variety, beside CGAN.

A classifier of digits reads the samples. Its features give the distance to test digits, of all classes and of each one
alone, and the variety within a class: the mean deviation of a feature, beside that of test digits. CGAN has the same
networks, and its D gets the label as input. ArtGAN is AC-GAN with a decoder of D's features.
"""

from __future__ import annotations
