"""The GAN zoo: GANs of the lecture's slide, one file a paper; `catalogue` says what became of all 48.

Each page has the idea of its paper, the equation, and what differs from a plain `GAN`. `demos/zoo.py` trains them.
"""
