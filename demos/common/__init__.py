"""What the demos share: flags, printed tables, drawn figures, and the training of GANs on images."""
