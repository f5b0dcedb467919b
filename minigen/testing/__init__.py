"""The kit with which minigen's own tests are written, for operations, layers and models of your own.

checks      what must hold for every operation: its derivatives, its dtypes, the same results on another device
strategies  shapes, broadcasts, axes, values and memory layouts, drawn by hypothesis
mutants     faults planted on purpose, to see that a test finds them
"""
