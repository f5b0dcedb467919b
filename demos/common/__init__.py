"""What the demos share: flags, printed tables and drawn figures. Each demo builds and trains its model itself."""
