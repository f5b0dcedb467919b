"""A strict stand-in for the module CuPy: NumPy underneath, CuPy's manners outside.

In a `with installed():` block, `import cupy` gives it: code that would fail under real CuPy then fails here too, on a
machine without a GPU. (The fixtures `gpu_standin` and `device` of conftest.py are such blocks.)

- Its arrays refuse NumPy's functions and NumPy's arrays; the only ways to the host are explicit.
- Reductions stay on the device as 0-d arrays; results of elementwise functions are C-ordered.
- Integers out of bounds in an index array wrap around silently.
- A function, a method or an argument that CuPy 14 does not have does not exist.
- Where CuPy would go on at a hidden cost (a list or a NumPy array as an index, an array on another device than the
  current one), the stand-in refuses.

- Several values that are written or added to one place raise: on a GPU, which one stays, or the order of the sum, is
  left to chance.

`with count() as c:` counts what is dear on a GPU: `c.launches`, `c.synchronisations`, `c.uploads`, `c.downloads`. In a
`no_sync()` block, whatever makes the host wait raises.

    tables      what CuPy has: names, signatures, what an argument has to be
    array       the strict array
    functions   from a line of a table to a function
    kernels     kernels given as text, executed
    module      the module `cupy`, put together
    costs       calls that cost more than one kernel
    counting    launches, synchronisations, transfers and the current device
"""

from strict_cupy.counting import Counts, Wait, count, no_sync
from strict_cupy.module import cupy, installed

__all__ = ["Counts", "Wait", "count", "cupy", "installed", "no_sync"]
